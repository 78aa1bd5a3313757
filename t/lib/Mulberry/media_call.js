// A call as all peers have it: what is played at its ear in real time, and what is said in it.  A kind has:
//
//	width			bytes of a sample: 1, mu-law; 2, linear
//	media(part)		sends audio
//	played_mark(m)	a mark in the queue was reached
//	press, start, stop, hangUp (without a word), raw
"use strict";

const SAMPLES = 160;
const say = (object) => process.stdout.write(JSON.stringify(object) + "\n");
const linear = Array.from({ length: 256 }, (_, c) => { const b = ~c & 0xff; const v = ((((b & 0xf) << 3) + 0x84) << ((b & 0x70) >> 4)) - 0x84; return b & 0x80 ? -v : v; });
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
    constructor(command, kind) {
        Object.assign(this, kind, { id: command.id, delay: command.delay || 0, chunk: 0, timestamp: 0, errors: [], queue: [], played: [], arrivals: [], sent: [], marks: 0, cleared: 0, paused: false });
        this.frameBytes = SAMPLES * this.width;
        this.silence = Buffer.alloc(this.frameBytes, this.width === 1 ? 0xff : 0);
    }
    tell(event, more) { say({ id: this.id, event, ...more }); }
    wrong(what) { this.errors.push(what); this.tell("error", { what }); }
    begin() {
        this.clock = now();
        this.timer = setInterval(() => this.tick(), 5);
    }
    tick() { this.play(); }
    closed(code, reason) {
        if (this.over) return;
        this.over = true;
        clearInterval(this.timer);
        clearInterval(this.liveTimer);
        this.tell("closed", { code, reason, errors: this.errors, marks: this.marks, cleared: this.cleared });
    }
    // one way: in order, and as late as the network is
    later(what) { if (this.delay) setTimeout(what, this.delay); else what(); }
    // Audio to be played, and when it came.
    hear(bytes) { this.arrivals.push(now()); this.queue.push({ bytes }); }
    frames() { return this.queue.reduce((n, q) => n + (q.bytes ? Math.ceil(q.bytes.length / this.frameBytes) : 0), 0); }
    marksAtTheFront() { while (this.queue.length && this.queue[0].mark !== undefined) this.echo(this.queue.shift().mark); }
    echo() { this.marks++; }
    // All frames that are due.  What was not there in time is a pause, and not played faster later.
    play() {
        const due = now();
        while (this.clock + 20 <= due) {
            this.clock += 20;
            if (this.paused) { this.played.push(null); continue; }
            let frame = null;
            this.marksAtTheFront();
            if (this.queue.length && this.queue[0].bytes.length <= this.frameBytes) frame = this.queue.shift().bytes;
            else if (this.queue.length) {
                frame = this.queue[0].bytes.subarray(0, this.frameBytes);
                this.queue[0].bytes = this.queue[0].bytes.subarray(this.frameBytes);
            }
            this.played.push(frame);
            if (frame) this.hasPlayed();
            this.marksAtTheFront();
        }
    }
    hasPlayed() {}
    // Drops what is queued; returns the marks in it.
    forget() {
        const marks = this.queue.filter((q) => q.mark !== undefined).map((q) => q.mark);
        this.cleared++;
        this.queue = [];
        this.tell("cleared", { played: this.played.filter((f) => f).length });
        return marks;
    }
    sample(bytes, i) { return this.width === 1 ? linear[bytes[i]] : bytes.readInt16LE(2 * i); }
    level(frame) {
        if (!frame) return 0;
        const n = frame.length / this.width;
        let sum = 0;
        for (let i = 0; i < n; i++) sum += this.sample(frame, i) ** 2;
        return Math.round(Math.sqrt(sum / n));
    }
    // Samples as this peer sends them.
    encoded(samples) {
        if (this.width === 1) return Buffer.from(samples.map(toMulaw));
        const bytes = Buffer.alloc(2 * samples.length);
        samples.forEach((v, i) => bytes.writeInt16LE(Math.max(-32768, Math.min(32767, Math.round(v))), 2 * i));
        return bytes;
    }
    async speak(command) {
        const audio = Buffer.from(command.audio, "base64");
        const size = command.chunk || this.frameBytes;
        const skip = new Set(command.skip || []);
        let due = now();
        for (let at = 0; at < audio.length && !this.over; at += size) {
            const part = audio.subarray(at, at + size);
            this.chunk++;
            if (!skip.has(this.chunk)) this.media(part);
            this.timestamp += size / this.width / 8;
            due += size / this.width / 8;
            if (command.realtime) { const wait = due - now(); if (wait > 0) await new Promise((r) => setTimeout(r, wait)); }
            else if (at % (size * 50) === 0) await new Promise((r) => setImmediate(r));
        }
        this.tell("spoken");
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
                const part = this.nextFrame();
                this.spoken++;
                if (!this.muted) {
                    this.sent.push(part);
                    this.chunk++;
                    this.media(part);
                }
                this.timestamp += 20;
            }
        }, 5);
    }
    // A frame of what is said, with the noise of the line, and what was played some time ago.
    nextFrame() {
        const { noise = 0, echo = 0, echoDelay = 100 } = this.line;
        const first = this.voice[0];
        let said = null;
        if (first && first.wait > 0) first.wait -= 20;
        else if (first) {
            if (first.from === undefined) { first.from = this.spoken; this.tell("saying", { at: this.spoken }); }
            said = first.audio.subarray(first.at, first.at + SAMPLES);
            first.at += SAMPLES;
            if (first.at >= first.audio.length) { this.voice.shift(); this.tell("said", { from: first.from, to: this.spoken + 1, at: now() }); }
        }
        const back = echo ? this.played[this.played.length - 1 - Math.round(echoDelay / 20)] : null;
        if (!said && !noise && !back) return this.silence;
        const gain = Math.pow(10, echo / 20);
        const hiss = () => (noise ? (Math.random() + Math.random() + Math.random() - 1.5) * 2 * noise : 0);
        const mixed = Array.from({ length: SAMPLES }, (_, i) => (said && i < said.length ? linear[said[i]] : 0) + hiss() + (back && back.length === this.frameBytes ? this.sample(back, i) * gain : 0));
        return this.encoded(mixed);
    }
    act(command) {
        switch (command.op) {
            case "live": return this.live(command);
            case "say": return this.voice.push({ audio: Buffer.from(command.audio, "base64"), at: 0, wait: command.wait || 0 });
            case "mute": this.muted = command.on; return;
            case "levels": return this.tell("levels", { since: command.since, levels: this.played.slice(this.liveFrom + command.since).map((f) => this.level(f)) });
            case "arrival": return this.tell("arrival", { at: this.arrivals.find((at) => at > command.since) ?? null });
            case "timeline": return this.tell("timeline", { audio: Buffer.concat(this.played.map((f) => f || this.silence)).toString("base64"), from: this.liveFrom, spoken: this.spoken });
            case "sent": return this.tell("sent", { audio: Buffer.concat(this.sent).toString("base64"), errors: this.errors });
            case "send": return this.raw(command.text !== undefined ? command.text : Buffer.from(command.binary, "base64"));
            case "start": return this.start(command);
            case "speak": return this.speak(command);
            case "press": return this.press(command.digit);
            case "stop": this.muted = true; return this.stop(command);
            case "drop": this.muted = true; return this.hangUp();
            case "ear": {
                const frames = this.played.slice();
                // silence at both ends is nothing that was said
                while (frames.length && !frames[0]) frames.shift();
                while (frames.length && !frames[frames.length - 1]) frames.pop();
                return this.tell("ear", { audio: Buffer.concat(frames.filter((f) => f)).toString("base64"), holes: frames.filter((f) => !f).length });
            }
        }
    }
}

// A call over a WebSocket.
class SocketCall extends Call {
    constructor(command, kind, options) {
        super(command, kind);
        const WebSocket = require("ws");
        this.socket = new WebSocket(command.url, command.protocols || [], { headers: command.headers || {}, perMessageDeflate: false, ...options });
        this.socket.on("open", () => { this.tell("open", { protocol: this.socket.protocol }); this.begin(); });
        this.socket.on("unexpected-response", (request, response) => { this.tell("refused", { status: response.statusCode }); request.destroy(); });
        this.socket.on("error", () => {});
        this.socket.on("message", (data, binary) => this.later(() => { if (!this.over) this.take(data, binary); }));
        this.socket.on("ping", () => this.pinged());
        this.socket.on("close", (code, reason) => this.closed(code, reason.toString()));
    }
    pinged() { this.errors.push("ping"); }
    raw(data) { this.later(() => { if (this.socket.readyState === 1) this.socket.send(data); }); }
    stop() { this.later(() => this.socket.close(1000)); }
    hangUp() { this.socket.terminate(); }
    // Our messages in JSON; null: it is none.
    read(data) {
        try { return JSON.parse(data.toString()); } catch { this.wrong("not JSON: " + data.toString().slice(0, 100)); return null; }
    }
}

module.exports = { Call, SocketCall };
