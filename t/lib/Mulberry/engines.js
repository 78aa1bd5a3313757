// Stand-ins for services of speech and of language, for tests only, in their documented forms and strict about what they are sent:
// Deepgram v1 and v2, ElevenLabs and OpenAI (WebSockets that listen), OpenAI (HTTP that transcribes a file), ElevenLabs (a WebSocket that speaks), OpenAI and ElevenLabs (HTTP that speaks), OpenAI (chat, as a stream of events).
// Writes its port to standard output.  The first part of a path is a line: several tests at once have one each.  What is posted to /LINE/do is a
// command, JSON:
//
//	phrases		list, instead	what the next stretches of speech are heard as, one each, behind those that are left or instead of them
//	always		long, short		what stretches are heard as when there are no phrases left: those of 800 ms and more, and those below
//	delays		ear, scribe, mouth, voice, model (ms, but for an ear also a list for the next answers)	until they answer; write: between two pieces of what the model writes
//	behave		who (ear, scribe, mouth, voice, model), how: ok, refuse (401), busy (429), silent, garbage, drop, big, stall, cut, quiet (when nothing was
//				said); a scribe also plain (knows no verbose_json), reject (400), unsure (of a segment that is none), empty (text null), page (there is a long one at its URL);
//				an ear also pings (many, and reads no answers for a second);
//				a voice also error (says that the quota is used up), untimed (no times of characters), close (when all contexts are closed)
//	model		replies			{ pattern: text, or {tool, arguments}, … } of what the caller has said
//
// The answer is what they were asked: { mouth: [texts], model: [messages], ear: connections, pongs, scribe: [fields of files],
// voice: { sockets, contexts: { id: { texts, closed } }, alive: messages that keep one open }, left: phrases that nobody has said, wrong: [what was not of the form] }.
//
// Whoever listens finds speech by its energy over the line's noise, as far as the audio has come, and hears each stretch as the next phrase, a word each 300 ms.
// Whoever speaks gives each word 250 ms of a tone and 50 ms of a pause.
"use strict";
const http = require("http");
const { WebSocketServer } = require("ws");

const KEY = "sk-test";
const lines = new Map();

// The line of a path, and the path behind it.
function lineOf(url) {
    const [, name, path] = url.match(/^\/([^/]*)(\/.*)$/) || [null, "", url];
    if (!lines.has(name))
        lines.set(name, { phrases: [], always: null, delays: { ear: 0, scribe: 0, mouth: 0, voice: 0, model: 0, write: 2 },
            how: { ear: "ok", scribe: "ok", mouth: "ok", voice: "ok", model: "ok" }, replies: {},
            asked: { mouth: [], model: [], ear: 0, pongs: 0, scribe: [], voice: { sockets: 0, contexts: {}, alive: 0 }, wrong: [] } });
    return [lines.get(name), path];
}

const mulaw = Array.from({ length: 256 }, (_, c) => { const b = ~c & 0xff; const v = ((((b & 0xf) << 3) + 0x84) << ((b & 0x70) >> 4)) - 0x84; return b & 0x80 ? -v : v; });

// ---- who listens ----

class Ear {
    constructor(socket, form, state) {
        Object.assign(this, { socket, form, state, silent: 0, loud: 0, speaking: false, pending: null, heard: 0, rest: [], levels: Array(20).fill(0) });
        this.state.asked.ear++;
        socket.on("message", (data, binary) => this.take(data, binary));
    }
    ping() {
        this.pinged = true;
        this.socket.on("pong", () => this.state.asked.pongs++);
        this.socket._socket.pause();
        for (let i = 0; i < 100000; i++) this.socket.ping(Buffer.alloc(125));
        setTimeout(() => this.socket._socket.resume(), 1000);
    }
    later(what) { setTimeout(() => { if (this.socket.readyState === 1) what(); }, this.state.delays.ear); }
    send(object) { if (this.socket.readyState === 1) this.socket.send(JSON.stringify(object)); }
    refuse(why) { this.state.asked.wrong.push(why); this.socket.close(1008, why.slice(0, 100)); }
    take(data, binary) {
        const how = this.state.how.ear;
        if (how === "drop") return this.socket.terminate();
        if (how === "garbage") return this.socket.send("no JSON {");
        if (how === "silent") return;
        if (how === "pings" && !this.pinged) this.ping();
        if (this.form.startsWith("deepgram")) {
            if (binary) return this.audio(Array.from(data, (b) => mulaw[b]), 8000);
            const type = JSON.parse(data).type;
            if (type === "Finalize" && this.form === "deepgram") return this.finalize();
            if (type === "CloseStream") return this.socket.close(1000);
            if (type !== "KeepAlive" || this.form !== "deepgram") return this.refuse("unknown " + type);
            return;
        }
        if (binary) return this.refuse("binary");
        const m = JSON.parse(data);
        if (this.form === "elevenlabs") {
            if (m.message_type !== "input_audio_chunk" || m.sample_rate !== 8000 || typeof m.commit !== "boolean") return this.refuse("form");
            this.audio(Array.from(Buffer.from(m.audio_base_64, "base64"), (b) => mulaw[b]), 8000);
            if (m.commit) this.finalize();
        } else if (m.type === "session.update") {
            if (m.session.type !== "transcription" || m.session.audio.input.format.rate !== 24000) return this.refuse("session");
        } else if (m.type === "input_audio_buffer.append") {
            const bytes = Buffer.from(m.audio, "base64");
            this.audio(Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readInt16LE(2 * i)), 24000);
        } else if (m.type === "input_audio_buffer.commit") this.finalize();
        else this.refuse("unknown " + m.type);
    }
    audio(samples, rate) {
        const size = rate / 50;
        this.rest.push(...samples);
        while (this.rest.length >= size) {
            const frame = this.rest.splice(0, size);
            const level = Math.sqrt(frame.reduce((s, v) => s + v * v, 0) / size);
            // the quietest tenth of two seconds is the noise of the line
            this.levels = [...this.levels.slice(-99), level];
            const floor = [...this.levels].sort((a, b) => a - b)[Math.floor(this.levels.length / 10)];
            if (level > Math.max(600, Math.min(2 * floor, 2000))) { this.loud++; this.silent = 0; } else { this.silent++; if (!this.speaking) this.loud = 0; }
            if (!this.speaking && this.loud >= 3) {
                this.speaking = true;
                this.frames = 0;
                this.phrase = this.state.phrases.shift();
                if (this.phrase === undefined) this.phrase = this.state.always ? this.state.always.long : "mumbling";
                this.known = this.state.phrases.length > 0 || !this.state.always;
            }
            if (this.speaking) {
                this.frames++;
                const words = this.phrase.split(" ").filter(Boolean);
                const n = Math.min(words.length, Math.floor(this.frames / 15));
                // what is not known to be long yet may be short
                if (this.frames % 15 === 0 && n > 0 && (this.known || this.frames - this.silent >= 40)) this.partial((this.before ? this.before + " " : "") + words.slice(0, n).join(" "));
                if (this.silent >= 15) {
                    if (!this.known && this.frames - this.silent < 40) this.phrase = this.state.always.short;
                    this.speaking = false; this.loud = 0; this.before = ((this.before ? this.before + " " : "") + this.phrase).trim(); this.partial(this.before);
                    if (this.form === "deepgram2") this.endOfTurn();
                }
            }
        }
    }
    partial(text) {
        this.later(() => {
            if (this.form === "deepgram") this.results(text, false, false);
            else if (this.form === "deepgram2") this.send({ type: "TurnInfo", event: "Update", transcript: text, turn_index: 0 });
            else if (this.form === "elevenlabs") this.send({ message_type: "partial_transcript", text });
        });
    }
    results(text, final, finalize) {
        this.send({ type: "Results", is_final: final, speech_final: false, from_finalize: finalize, start: 0, duration: 1, channel: { alternatives: [{ transcript: text, confidence: 0.9, words: [] }] } });
    }
    endOfTurn() {
        const text = this.before;
        this.before = "";
        this.later(() => this.send({ type: "TurnInfo", event: "EndOfTurn", transcript: text, end_of_turn_confidence: 0.9 }));
    }
    // Who is asked in the middle of a word waits a little for its end; audio that has stopped is silence, too.
    finalize(tries = 4) {
        const heard = this.frames;
        if (!this.speaking || this.silent >= 8 || tries === 0) return this.finish();
        setTimeout(() => { if (this.frames === heard) this.silent = 8; this.finalize(tries - 1); }, 150);
    }
    finish() {
        // what was said up to now; of what is being said nothing
        if (this.speaking && !this.known && this.frames - this.silent < 40) this.phrase = this.state.always.short;
        const text = this.speaking && this.silent < 8 ? this.before || "" : this.speaking ? ((this.before ? this.before + " " : "") + this.phrase).trim() : this.before || "";
        if (this.speaking && this.silent >= 8) { this.speaking = false; this.loud = 0; }
        this.before = "";
        // as services do when there is nothing: no answer, or an error
        if (text === "" && this.state.how.ear === "quiet" && this.form === "deepgram") return;
        if (text === "" && this.state.how.ear === "quiet" && this.form === "elevenlabs") return this.send({ message_type: "commit_throttled", error: "You need at least 0.3s of uncommitted audio" });
        this.later(() => {
            if (this.form === "deepgram") this.results(text, true, true);
            else if (this.form === "elevenlabs") this.send({ message_type: "committed_transcript", text });
            else {
                if (text) this.send({ type: "conversation.item.input_audio_transcription.delta", item_id: "i", delta: text });
                this.send({ type: "conversation.item.input_audio_transcription.completed", item_id: "i", transcript: text });
            }
        });
    }
}

// ---- who speaks, and who thinks ----

const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
// A list of delays is of the next answers, one each; behind them there is none.
const delayOf = (state, who) => (Array.isArray(state.delays[who]) ? state.delays[who].shift() || 0 : state.delays[who]);

function tones(text, rate) {
    const words = text.split(/\s+/).filter(Boolean);
    const samples = new Int16Array(words.length * rate * 0.3);
    words.forEach((word, w) => {
        const f = 300 + 20 * (word.length % 20);
        for (let i = 0; i < rate * 0.25; i++) samples[w * rate * 0.3 + i] = 6000 * Math.sin((2 * Math.PI * f * i) / rate);
    });
    return samples;
}

function toMulaw(v) {
    const sign = v < 0 ? 0x80 : 0;
    v = Math.min(Math.abs(v), 32635) + 0x84;
    let e = 7;
    for (let mask = 0x4000; e > 0 && !(v & mask); mask >>= 1) e--;
    return ~(sign | (e << 4) | ((v >> (e + 3)) & 0xf)) & 0xff;
}

async function fault(state, who, response) {
    switch (state.how[who]) {
        case "refuse": response.writeHead(401, { "Content-Type": "application/json" }); response.end('{"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}}'); return true;
        case "busy": response.writeHead(429, { "Content-Type": "application/json", "Retry-After": "1" }); response.end('{"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}'); return true;
        case "silent": return true;
        case "drop": response.destroy(); return true;
        case "stall": response.writeHead(200, { "Content-Type": "application/octet-stream" }); response.write(": stalls\n\n"); response.write(Buffer.alloc(1000, 32)); return true;
        default: return false;
    }
}

async function speak(state, request, response, body, path) {
    const eleven = path.includes("/text-to-speech/");
    const m = JSON.parse(body);
    const text = eleven ? m.text : m.input;
    const key = eleven ? request.headers["xi-api-key"] : (request.headers.authorization || "").replace(/^Bearer /, "");
    state.asked.mouth.push(text);
    if (key !== KEY || (!eleven && m.response_format !== "pcm") || (eleven && !path.includes("output_format=ulaw_8000"))) { state.asked.wrong.push("speech: " + path + " " + body); response.writeHead(400); return response.end(); }
    if (await fault(state, "mouth", response)) return;
    await sleep(delayOf(state, "mouth"));
    response.writeHead(200, { "Content-Type": "audio/pcm" });
    if (state.how.mouth === "big") { for (let i = 0; i < 4000 && !response.destroyed; i++) { if (!response.write(Buffer.alloc(65536))) await new Promise((r) => response.once("drain", r)); } return response.end(); }
    const samples = tones(text, eleven ? 8000 : 24000);
    const bytes = eleven ? Buffer.from(Array.from(samples, toMulaw)) : Buffer.from(samples.buffer);
    // in pieces that end within a sample
    for (let at = 0; at < bytes.length; at += 4801) { response.write(bytes.subarray(at, at + 4801)); await sleep(1); }
    response.end();
}

// A socket that speaks in contexts (ElevenLabs, multi-stream-input), with the times of characters in the order of the text.
class Voice {
    constructor(socket, state) {
        this.socket = socket;
        this.state = state;
        this.contexts = new Map();
        this.number = ++state.asked.voice.sockets;
        socket.on("message", (data, binary) => this.take(data, binary));
    }
    send(object) { if (this.socket.readyState === 1) this.socket.send(JSON.stringify(object)); }
    refuse(why) { this.state.asked.wrong.push(why); this.send({ message: why, error: "input_invalid", code: 1008 }); this.socket.close(1008, why.slice(0, 100)); }
    take(data, binary) {
        const { state } = this;
        const how = state.how.voice;
        if (how === "drop") return this.socket.terminate();
        if (how === "garbage") return this.socket.send("no JSON {");
        if (binary) return this.refuse("binary");
        const m = JSON.parse(data);
        const id = m.context_id;
        const c = this.contexts.get(id);
        const members = Object.keys(m).sort().join();
        if (members === "close_socket") return this.socket.close(1000);
        if (m.text === "" && (members === "text" || (members === "context_id,text" && c))) return void state.asked.voice.alive++;
        if (members === "context_id,text" && m.text === " " && !c) {
            if (this.contexts.size >= 5) return this.refuse("too many contexts");
            this.contexts.set(id, { buffer: "", pieces: [], running: false, closed: false });
            return void (state.asked.voice.contexts[this.number + id] = { texts: [], closed: false });
        }
        if (!c) return this.refuse("unknown context or message " + data);
        const asked = state.asked.voice.contexts[this.number + id];
        if (members === "context_id,text" && m.text.endsWith(" ") && !c.closed) { c.buffer += m.text; asked.texts.push(m.text); }
        else if (members === "context_id,flush" && m.flush === true && !c.closed) { c.pieces.push(c.buffer); c.buffer = ""; this.run(id, c); }
        else if (members === "close_context,context_id" && m.close_context === true && !c.closed) { c.closed = asked.closed = true; this.run(id, c); }
        else this.refuse("form " + data);
    }
    async run(id, c) {
        const { state } = this;
        const how = state.how.voice;
        if (c.running || how === "silent") return;
        if (how === "error" && c.pieces.length > 0) { this.send({ message: "This request exceeds your quota.", error: "quota_exceeded", code: 1008 }); return this.socket.close(1008, "quota_exceeded"); }
        c.running = true;
        for (let piece; (piece = c.pieces.shift()) !== undefined; ) {
            await sleep(delayOf(state, "voice"));
            const words = piece.split(" ").filter(Boolean);
            // two words a message, the first with the blank that opened the context
            for (let w = 0; w < words.length; w += 2) {
                const part = words.slice(w, w + 2);
                const chars = [], starts = [], durations = [];
                part.forEach((word, i) => [...(word + " ")].forEach((char, k, all) => { chars.push(char); starts.push(300 * i + Math.floor((250 * k) / (all.length - 1))); durations.push(k < all.length - 1 ? Math.floor(250 / (all.length - 1)) : 50); }));
                const alignment = how === "untimed" ? null : { chars, charStartTimesMs: starts, charDurationsMs: durations };
                if ((how === "stall" || how === "cut") && w > 0) return how === "cut" ? this.socket.terminate() : undefined;
                this.send({ audio: Buffer.from(Array.from(tones(part.join(" "), 8000), toMulaw)).toString("base64"), isFinal: null, alignment, normalizedAlignment: alignment, contextId: id });
                await sleep(1);
            }
        }
        c.running = false;
        if (!c.closed) return;
        this.contexts.delete(id);
        this.send({ isFinal: true, contextId: id });
        if (how === "close" && this.contexts.size === 0) this.socket.close(1000);
    }
}

async function think(state, request, response, body) {
    const m = JSON.parse(body);
    const user = m.messages.filter((x) => x.role === "user").pop();
    const last = m.messages[m.messages.length - 1];
    state.asked.model.push(m.messages);
    if (request.headers.authorization !== "Bearer " + KEY || m.stream !== true) { state.asked.wrong.push("chat"); response.writeHead(400); return response.end(); }
    if (await fault(state, "model", response)) return;
    await sleep(delayOf(state, "model"));
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    if (state.how.model === "garbage") return response.end("data: {nothing\n\n");
    if (state.how.model === "big") return response.end("data: " + "x".repeat(100000) + "\n\n");
    if (state.how.model === "cut") return response.end('data: {"choices": [{"index": 0, "delta": {"content": "We"}}]}\n\n');
    const write = (delta) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`);
    let found = Object.entries(state.replies).find(([pattern]) => new RegExp(pattern, "i").test(user.content));
    let reply = found ? found[1] : "I see.";
    if (typeof reply === "object" && last.role !== "tool") {
        write({ role: "assistant", tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name: reply.tool, arguments: "" } }] });
        for (const part of JSON.stringify(reply.arguments).match(/.{1,5}/g)) write({ tool_calls: [{ index: 0, function: { arguments: part } }] });
    } else {
        if (typeof reply === "object") reply = "It is done: " + last.content + ".";
        for (const part of reply.match(/.{1,7}/gs)) { write({ content: part }); await sleep(state.delays.write); }
    }
    response.end("data: [DONE]\n\n");
}

// The parts of a form; a file as what its head says.
function readForm(type, body) {
    const boundary = (/^multipart\/form-data; boundary=(\S+)$/.exec(type) || [])[1];
    if (!boundary || !body.endsWith(`\r\n--${boundary}--\r\n`)) return null;
    const form = {};
    for (const part of ("\r\n" + body).split("\r\n--" + boundary).slice(1, -1)) {
        const [, name, file, value] = /^\r\nContent-Disposition: form-data; name="([\w[\]]+)"(; filename="call.wav"\r\nContent-Type: audio\/wav)?\r\n\r\n([^]*)$/.exec(part) || [];
        if (!name) return null;
        if (!file) { form[name] = value; continue; }
        const wav = Buffer.from(value, "latin1");
        const samples = (wav.length - 44) / 2;
        form[name] = wav.toString("latin1", 0, 4) === "RIFF" && wav.readUInt16LE(20) === 1 && wav.readUInt16LE(22) === 1 && wav.readUInt16LE(34) === 16 && wav.readUInt32LE(40) === 2 * samples
            ? { rate: wav.readUInt32LE(24), ms: (samples * 1000) / wav.readUInt32LE(24), loud: Array.from({ length: samples }, (_, i) => wav.readInt16LE(44 + 2 * i)).filter((v) => Math.abs(v) > 600).length } : null;
    }
    return form;
}

async function transcribe(state, request, response, body) {
    const form = readForm(request.headers["content-type"], body);
    if (form && form["timestamp_granularities[]"]) {
        // a job, whose call is over
        response.writeHead(200, { "Content-Type": "application/json" });
        return response.end('{"text": "all that was said"}');
    }
    state.asked.scribe.push(form);
    if (request.headers.authorization !== "Bearer " + KEY || !form || !form.file || form.file.rate !== 8000 || !["json", "verbose_json"].includes(form.response_format) || !form.model)
        state.asked.wrong.push("transcription: " + JSON.stringify(form));
    if (await fault(state, "scribe", response)) return;
    await sleep(delayOf(state, "scribe"));
    const how = state.how.scribe;
    response.writeHead(how === "reject" || (how === "plain" && form.response_format !== "json") ? 400 : 200, { "Content-Type": "application/json" });
    if (how === "garbage") return response.end("<html>");
    if (how === "plain" && form.response_format !== "json") return response.end('{"error": {"message": "response_format verbose_json is not compatible with this model"}}');
    if (how === "reject") return response.end('{"error": {"message": "Invalid file"}}');
    if (how === "empty") return response.end('{"text": null}');
    const text = form.file.loud < 800 ? "" : state.phrases.shift() || "mumbling";
    const segments = [{ id: 0, text: " " + text, no_speech_prob: 0.01, avg_logprob: -0.2 }];
    if (how === "unsure") segments.push({ id: 1, text: " Thank you for watching.", no_speech_prob: 0.9, avg_logprob: -1.4 });
    response.end(JSON.stringify(form.response_format === "json" ? { text } : { task: "transcribe", language: "english", duration: form.file.ms / 1000, text: segments.map((s) => s.text).join(""), segments }));
}

function command(state, c) {
    if (c.op === "phrases") state.phrases = c.instead ? c.list : [...state.phrases, ...c.list];
    else if (c.op === "always") state.always = { long: c.long, short: c.short };
    else if (c.op === "delays") Object.assign(state.delays, c.delays);
    else if (c.op === "behave") state.how[c.who] = c.how;
    else if (c.op === "model") state.replies = c.replies;
}

const server = http.createServer((request, response) => {
    const [state, path] = lineOf(request.url);
    let body = "";
    if (path.endsWith("/audio/transcriptions")) request.setEncoding("latin1");
    request.on("data", (d) => (body += d));
    request.on("end", () => {
        if (path === "/do") {
            command(state, JSON.parse(body));
            response.end(JSON.stringify({ ...state.asked, left: state.phrases.length }));
        } else if (path.endsWith("/audio/transcriptions")) transcribe(state, request, response, body);
        else if (path.endsWith("/audio/speech") || path.includes("/text-to-speech/")) speak(state, request, response, body, path);
        else if (path.endsWith("/chat/completions")) think(state, request, response, body);
        else { response.writeHead(404); response.end(state.how.scribe === "page" ? "x".repeat(100000) : ""); }
    });
});
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on("upgrade", (request, socket, head) => {
    const [state, url] = lineOf(request.url);
    socket.on("error", () => {});
    if (url.includes("/multi-stream-input?")) {
        const wrong = request.headers["xi-api-key"] !== KEY || !/\/text-to-speech\/[^/]+\/multi-stream-input\?model_id=\w+&output_format=ulaw_8000&auto_mode=true&sync_alignment=true$/.test(url);
        if (wrong) state.asked.wrong.push("upgrade " + url);
        if (wrong || state.how.voice === "refuse") return socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return sockets.handleUpgrade(request, socket, head, (ws) => new Voice(ws, state));
    }
    const form = url.includes("speech-to-text/realtime") ? "elevenlabs" : url.includes("intent=transcription") ? "openai" : url.startsWith("/v2/") ? "deepgram2" : "deepgram";
    const key = form === "elevenlabs" ? request.headers["xi-api-key"] : (request.headers.authorization || "").replace(form === "openai" ? /^Bearer / : /^Token /, "");
    const wrong = key !== KEY || (form.startsWith("deepgram") && !/encoding=mulaw&sample_rate=8000/.test(url)) || (form === "elevenlabs" && !/audio_format=ulaw_8000/.test(url));
    if (wrong) state.asked.wrong.push("upgrade " + url);
    if (wrong || state.how.ear === "refuse") return socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    sockets.handleUpgrade(request, socket, head, (ws) => new Ear(ws, form, state));
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => process.stdout.write(server.address().port + "\n"));
// a test that is gone takes it along
process.stdin.resume().on("close", () => process.exit(0));
