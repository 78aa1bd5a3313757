// Twilio's Media Streams.  What it does with a message of ours that has a member more or less, an unknown event or another stream is in
// "errors" (31951, 31950).  A mark comes back when what lies before it was played, and all of them at once, played or not, behind a clear.
//
//	open		sid;  start: call, account, token, more (members that take the place of those of "start");  stop: call, account
"use strict";
const { SocketCall } = require("./media_call.js");

module.exports = class Twilio extends SocketCall {
    constructor(command) {
        super(command, { width: 1, sequence: 0, sid: command.sid || "MZ" + "0".repeat(32) });
    }
    message(event, more) { this.raw(JSON.stringify({ event, sequenceNumber: String(++this.sequence), ...more, streamSid: this.sid })); }
    media(part) { this.message("media", { media: { track: "inbound", chunk: String(this.chunk), timestamp: String(this.timestamp), payload: part.toString("base64") } }); }
    press(digit) { this.message("dtmf", { dtmf: { track: "inbound_track", digit } }); }
    start(command) {
        this.raw(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
        this.message("start", { start: { accountSid: command.account, streamSid: this.sid, callSid: command.call, tracks: ["inbound"], mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 }, customParameters: { token: command.token }, ...command.more } });
    }
    stop(command) {
        this.message("stop", { stop: { accountSid: command.account, callSid: command.call } });
        super.stop();
    }
    echo(name) {
        super.echo();
        this.message("mark", { mark: { name } });
    }
    take(data, binary) {
        if (binary) return this.wrong("31950 binary");
        const m = this.read(data);
        if (m === null) return;
        const members = { media: ["event", "media", "streamSid"], mark: ["event", "mark", "streamSid"], clear: ["event", "streamSid"] }[m.event];
        const within = { media: ["payload"], mark: ["name"] }[m.event];
        if (!members || Object.keys(m).sort().join() !== members.join() || (within && Object.keys(m[m.event]).sort().join() !== within.join())) return this.wrong("31951 " + data.toString().slice(0, 200));
        if (m.streamSid !== this.sid) return this.wrong("31951 another stream");
        this.play();
        if (m.event === "media") {
            const bytes = Buffer.from(m.media.payload, "base64");
            if (bytes.toString("base64") !== m.media.payload || bytes.length % this.frameBytes) this.wrong("31951 payload of " + bytes.length);
            this.hear(bytes);
        } else if (m.event === "clear") this.forget().forEach((name) => this.echo(name));
        else if (this.queue.length) this.queue.push({ mark: m.mark.name });
        else this.echo(m.mark.name);
    }
};
