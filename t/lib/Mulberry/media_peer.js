// Those who bring calls as streams, for tests only, over the WebSockets of another maker (npm ws): Twilio's Media Streams and Asterisk's
// chan_websocket, written from their rules and with their cruelties.  Reads a command a line, JSON, from standard input, and writes what
// happens in the same way.
//
//	open		id, kind (twilio, asterisk), url, headers, delay (ms each way)
//	send		id, text or binary (base64)		as it is
//	start		id, call, account, token, more (members that take the place of those of "start")
//	speak		id, audio (base64, mu-law), chunk (bytes), skip [numbers of chunks], realtime, again (chunk numbers from 1)
//	press		id, digit						as a message
//	stop		id								says so and closes;  drop: closes without a word
//	ear			id								what was played up to now
//	live		id								from now on there is a frame each 20 ms, of silence where nothing is said
//				noise (level, rms), echo (dB of what is played, back in what is said), echoDelay (ms)
//	say			id, audio, wait (ms of silence before it)		in it; "said" tells the frames it had
//	timeline	id								all that the ear has had since the beginning, silence too, and the frame in which "live" began
//	levels		id, since						the amplitude of each frame at the ear from that one of the line on
//	quit
//
// What Twilio does with a message of ours that has a member more or less, an unknown event or another stream is in "errors" (31951,
// 31950).  A buffer is played in real time, in frames of 20 ms; a mark comes back when what lies before it was played, and all of them at
// once, played or not, behind a clear.
"use strict";
const WebSocket = require("ws");
const readline = require("readline");

const FRAME = 160;
const calls = new Map();
const say = (object) => process.stdout.write(JSON.stringify(object) + "\n");
const linear = Array.from({ length: 256 }, (_, c) => { const b = ~c & 0xff; const v = ((((b & 0xf) << 3) + 0x84) << ((b & 0x70) >> 4)) - 0x84; return b & 0x80 ? -v : v; });
const level = (frame) => (frame ? Math.round(Math.sqrt(frame.reduce((s, b) => s + linear[b] * linear[b], 0) / frame.length)) : 0);
const now = () => Number(process.hrtime.bigint() / 1000n) / 1000;

function toMulaw(value) {
    let v = Math.max(-32635, Math.min(32635, Math.round(value)));
    const sign = v < 0 ? 0x80 : 0;
    v = Math.abs(v) + 0x84;
    let e = 7;
    for (let mask = 0x4000; e > 0 && !(v & mask); mask >>= 1) e--;
    return ~(sign | (e << 4) | ((v >> (e + 3)) & 0xf)) & 0xff;
}

class Call {
    constructor(command) {
        Object.assign(this, { id: command.id, kind: command.kind || "twilio", delay: command.delay || 0, sequence: 0, chunk: 0, timestamp: 0, errors: [], queue: [], played: [], marks: 0, cleared: 0, paused: false });
        this.sid = command.sid || "MZ" + "0".repeat(32);
        this.out = Promise.resolve();
        const options = { headers: command.headers || {}, perMessageDeflate: false, autoPong: this.kind !== "asterisk" };
        this.socket = new WebSocket(command.url, command.protocols || [], options);
        this.socket.on("open", () => { say({ id: this.id, event: "open", protocol: this.socket.protocol }); this.begin(); });
        this.socket.on("unexpected-response", (request, response) => { say({ id: this.id, event: "refused", status: response.statusCode }); request.destroy(); });
        this.socket.on("error", () => {});
        this.socket.on("message", (data, binary) => this.later(() => this.take(data, binary)));
        this.socket.on("ping", () => { this.errors.push("ping"); if (this.kind === "asterisk") this.socket.terminate(); });
        this.socket.on("close", (code, reason) => {
            this.over = true;
            clearInterval(this.timer);
            say({ id: this.id, event: "closed", code, reason: reason.toString(), errors: this.errors, marks: this.marks, cleared: this.cleared });
        });
    }
    begin() {
        this.clock = now();
        this.timer = setInterval(() => this.play(), 5);
    }
    // one way: in order, and as late as the network is
    later(what) { if (this.delay) setTimeout(what, this.delay); else what(); }
    send(data) { this.later(() => { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data); }); }
    message(event, more) { this.send(JSON.stringify({ event, sequenceNumber: String(++this.sequence), ...more, streamSid: this.sid })); }
    // All frames that are due.  What was not there in time is a pause, and not played faster later.
    play() {
        const due = now();
        while (this.clock + 20 <= due) {
            this.clock += 20;
            if (this.paused) { this.played.push(null); continue; }
            let frame = null;
            while (this.queue.length && this.queue[0].mark !== undefined) this.echo(this.queue.shift().mark);
            if (this.queue.length && this.queue[0].bytes.length <= FRAME) frame = this.queue.shift().bytes;
            else if (this.queue.length) {
                frame = this.queue[0].bytes.subarray(0, FRAME);
                this.queue[0].bytes = this.queue[0].bytes.subarray(FRAME);
            }
            this.played.push(frame);
            if (frame && this.held && this.frames() <= 800) { this.held = false; this.control("MEDIA_XON"); }
            while (this.queue.length && this.queue[0].mark !== undefined) this.echo(this.queue.shift().mark);
            if (frame && !this.queue.length && this.wantsDrained) { this.wantsDrained = false; this.control("QUEUE_DRAINED"); }
        }
    }
    frames() { return this.queue.reduce((n, q) => n + (q.bytes ? Math.ceil(q.bytes.length / FRAME) : 0), 0); }
    echo(name) {
        this.marks++;
        if (this.kind === "asterisk") this.control("MEDIA_MARK_PROCESSED", { correlation_id: name });
        else this.message("mark", { mark: { name } });
    }
    control(event, more) { this.send(JSON.stringify({ event, ...more })); }
    wrong(what) { this.errors.push(what); say({ id: this.id, event: "error", what }); }
    take(data, binary) {
        if (this.over) return;
        if (this.kind === "asterisk") return this.takeAsterisk(data, binary);
        if (binary) return this.wrong("31950 binary");
        let m;
        try { m = JSON.parse(data.toString()); } catch { return this.wrong("31951 not JSON"); }
        const members = { media: ["event", "media", "streamSid"], mark: ["event", "mark", "streamSid"], clear: ["event", "streamSid"] }[m.event];
        const within = { media: ["payload"], mark: ["name"] }[m.event];
        if (!members || Object.keys(m).sort().join() !== members.join() || (within && Object.keys(m[m.event]).sort().join() !== within.join())) return this.wrong("31951 " + data.toString().slice(0, 200));
        if (m.streamSid !== this.sid) return this.wrong("31951 another stream");
        this.play();
        if (m.event === "media") {
            const bytes = Buffer.from(m.media.payload, "base64");
            if (bytes.toString("base64") !== m.media.payload || bytes.length % FRAME) this.wrong("31951 payload of " + bytes.length);
            this.queue.push({ bytes });
        } else if (m.event === "mark") {
            if (this.queue.length) this.queue.push({ mark: m.mark.name });
            else this.echo(m.mark.name);
        } else {
            const marks = this.queue.filter((q) => q.mark !== undefined);
            this.cleared++;
            this.queue = [];
            marks.forEach((q) => this.echo(q.mark));
            say({ id: this.id, event: "cleared", played: this.played.filter((f) => f).length });
        }
    }
    takeAsterisk(data, binary) {
        if (data.length > 65500) { this.wrong("too long: " + data.length); return this.socket.terminate(); }
        this.play();
        if (binary) {
            this.queue.push({ bytes: data });
            if (data.length % FRAME) this.wrong("a message of " + data.length);
            if (!this.held && this.frames() > 900) { this.held = true; this.control("MEDIA_XOFF"); }
            if (this.frames() > 1000) this.wrong("the queue is full");
            return;
        }
        if (data.length > 128) return this.wrong("ignored: " + data.length);
        let m;
        try { m = JSON.parse(data.toString()); } catch { return this.wrong("not JSON"); }
        switch (m.command) {
            case "MARK_MEDIA": if (this.queue.length) this.queue.push({ mark: m.correlation_id }); else this.echo(m.correlation_id); break;
            case "PAUSE_MEDIA": this.paused = true; break;
            case "CONTINUE_MEDIA": this.paused = false; break;
            // ends no pause, answers nothing, and marks are gone
            case "FLUSH_MEDIA": this.cleared++; this.queue = []; say({ id: this.id, event: "cleared", played: this.played.filter((f) => f).length }); break;
            case "GET_STATUS": this.control("STATUS", { queue_length: this.frames(), media_paused: this.paused }); break;
            case "REPORT_QUEUE_DRAINED": this.wantsDrained = true; break;
            case "HANGUP": this.socket.close(1000); break;
            default: this.wrong("unknown command " + m.command);
        }
    }
    start(command) {
        this.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
        this.message("start", { start: { accountSid: command.account, streamSid: this.sid, callSid: command.call, tracks: ["inbound"], mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 }, customParameters: { token: command.token }, ...command.more } });
    }
    async speak(command) {
        const audio = Buffer.from(command.audio, "base64");
        const size = command.chunk || FRAME;
        const skip = new Set(command.skip || []);
        let due = now();
        for (let at = 0; at < audio.length && !this.over; at += size) {
            const part = audio.subarray(at, at + size);
            this.chunk++;
            if (!skip.has(this.chunk)) {
                if (this.kind === "asterisk") this.send(part);
                else this.message("media", { media: { track: "inbound", chunk: String(this.chunk), timestamp: String(this.timestamp), payload: part.toString("base64") } });
            }
            this.timestamp += size / 8;
            due += size / 8;
            if (command.realtime) { const wait = due - now(); if (wait > 0) await new Promise((r) => setTimeout(r, wait)); }
            else if (at % (size * 50) === 0) await new Promise((r) => setImmediate(r));
        }
        say({ id: this.id, event: "spoken" });
    }
    media(part) {
        this.chunk++;
        if (this.kind === "asterisk") this.send(part);
        else this.message("media", { media: { track: "inbound", chunk: String(this.chunk), timestamp: String(this.timestamp), payload: part.toString("base64") } });
        this.timestamp += part.length / 8;
    }
    // A line as it is: a frame each 20 ms, as many as are due.
    live(command) {
        this.line = command;
        this.voice = [];
        this.liveFrom = this.played.length;
        this.liveClock = now();
        this.spoken = 0;
        this.liveTimer = setInterval(() => {
            const due = now();
            while (this.liveClock + 20 <= due && !this.over) {
                this.liveClock += 20;
                let part = Buffer.alloc(FRAME, 0xff);
                const first = this.voice[0];
                if (first && first.wait > 0) first.wait -= 20;
                else if (first) {
                    if (first.from === undefined) { first.from = this.spoken; say({ id: this.id, event: "saying", at: this.spoken }); }
                    first.audio.copy(part, 0, first.at, first.at + FRAME);
                    first.at += FRAME;
                    if (first.at >= first.audio.length) { this.voice.shift(); say({ id: this.id, event: "said", from: first.from, to: this.spoken + 1 }); }
                }
                if (this.line.noise || this.line.echo) part = this.mixed(part);
                this.spoken++;
                if (!this.muted) this.media(part);
            }
            if (this.over) clearInterval(this.liveTimer);
        }, 5);
    }
    // A frame with the noise of the line, and what was played some time ago.
    mixed(part) {
        const { noise = 0, echo = 0, echoDelay = 100 } = this.line;
        const back = echo ? this.played[this.played.length - 1 - Math.round(echoDelay / 20)] : null;
        const gain = Math.pow(10, echo / 20);
        return Buffer.from(Array.from(part, (b, i) => toMulaw(linear[b] + (Math.random() + Math.random() + Math.random() - 1.5) * 2 * noise + (back && back.length === FRAME ? linear[back[i]] * gain : 0))));
    }
    act(command) {
        switch (command.op) {
            case "live": return this.live(command);
            case "say": return this.voice.push({ audio: Buffer.from(command.audio, "base64"), at: 0, wait: command.wait || 0 });
            case "mute": this.muted = command.on; return;
            case "levels": return say({ id: this.id, event: "levels", since: command.since, levels: this.played.slice(this.liveFrom + command.since).map(level) });
            case "timeline": return say({ id: this.id, event: "timeline", audio: Buffer.concat(this.played.map((f) => f || Buffer.alloc(FRAME, 0xff))).toString("base64"), from: this.liveFrom, spoken: this.spoken });
            case "send": return this.send(command.text !== undefined ? command.text : Buffer.from(command.binary, "base64"));
            case "start": return this.start(command);
            case "speak": return this.speak(command);
            case "press": return this.kind === "asterisk" ? this.control("DTMF_END", { digit: command.digit }) : this.message("dtmf", { dtmf: { track: "inbound_track", digit: command.digit } });
            case "stop": if (this.kind !== "asterisk") this.message("stop", { stop: { accountSid: command.account, callSid: command.call } }); return this.later(() => this.socket.close(1000));
            case "drop": return this.socket.terminate();
            case "ear": {
                const frames = this.played.slice();
                // silence at both ends is nothing that was said
                while (frames.length && !frames[0]) frames.shift();
                while (frames.length && !frames[frames.length - 1]) frames.pop();
                return say({ id: this.id, event: "ear", audio: Buffer.concat(frames.filter((f) => f)).toString("base64"), holes: frames.filter((f) => !f).length });
            }
        }
    }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.op === "quit") process.exit(0);
    if (command.op === "open") calls.set(command.id, new Call(command));
    else calls.get(command.id).act(command);
}).on("close", () => process.exit(0));
