// Asterisk's chan_websocket with f(json).  It hangs up on a ping, a fragment, or more than 65,500 bytes, ignores a command of more than 128,
// pauses what it plays, says when its queue is full, and forgets marks in what is flushed.
//
//	start		format (ulaw), early: frames of audio that come before MEDIA_START
"use strict";
const { SocketCall } = require("./media_call.js");

const MOST = 65500;

module.exports = class Asterisk extends SocketCall {
    constructor(command) {
        super(command, { width: command.width || 1 }, { autoPong: false });
        // a fragment is seen in what arrives: the library puts messages together
        this.socket.on("upgrade", (response) => {
            this.header = null;
            response.socket.on("data", (bytes) => this.watch(bytes));
        });
    }
    // The head of each frame that comes: fin, opcode, length.
    watch(bytes) {
        this.rest = this.rest ? Buffer.concat([this.rest, bytes]) : bytes;
        while (this.rest.length >= 2) {
            const fin = this.rest[0] & 0x80, opcode = this.rest[0] & 0xf;
            let length = this.rest[1] & 0x7f, head = 2;
            if (length === 126) { if (this.rest.length < 4) return; length = this.rest.readUInt16BE(2); head = 4; }
            else if (length === 127) { if (this.rest.length < 10) return; length = Number(this.rest.readBigUInt64BE(2)); head = 10; }
            if (this.rest.length < head + length) return;
            if (!fin || opcode === 0) { this.wrong("a fragment"); return this.hangUp(); }
            this.rest = this.rest.subarray(head + length);
        }
    }
    pinged() {
        super.pinged();
        this.hangUp();
    }
    control(event, more) { this.raw(JSON.stringify({ event, ...more })); }
    media(part) { this.raw(part); }
    press(digit) { this.control("DTMF_END", { digit }); }
    start(command) {
        for (let i = 0; i < (command.early || 0); i++) { this.sent.push(this.silence); this.media(this.silence); }
        this.control("MEDIA_START", { connection_id: this.id, channel: "WebSocket/mulberry/" + this.id, channel_id: "1", format: this.width === 1 ? "ulaw" : "slin", optimal_frame_size: this.frameBytes, ptime: 20, channel_variables: {} });
    }
    echo(name) {
        super.echo();
        this.control("MEDIA_MARK_PROCESSED", { correlation_id: name });
    }
    hasPlayed() {
        if (this.held && this.frames() <= 800) { this.held = false; this.control("MEDIA_XON"); }
        if (!this.queue.length && this.wantsDrained) { this.wantsDrained = false; this.control("QUEUE_DRAINED"); }
    }
    take(data, binary) {
        if (data.length > MOST) { this.wrong("too long: " + data.length); return this.hangUp(); }
        this.play();
        if (!binary) return this.obey(data);
        this.hear(data);
        if (data.length % this.frameBytes) this.wrong("a message of " + data.length);
        if (!this.held && this.frames() > 900) { this.held = true; this.control("MEDIA_XOFF"); }
        if (this.frames() > 1000) this.wrong("the queue is full");
    }
    obey(data) {
        if (data.length > 128) return this.wrong("ignored: " + data.length);
        const m = this.read(data);
        if (m === null) return;
        switch (m.command) {
            case "MARK_MEDIA": if (this.queue.length) this.queue.push({ mark: m.correlation_id }); else this.echo(m.correlation_id); break;
            case "PAUSE_MEDIA": this.paused = true; break;
            case "CONTINUE_MEDIA": this.paused = false; break;
            // ends no pause, answers nothing, and marks are gone
            case "FLUSH_MEDIA": this.forget(); break;
            case "GET_STATUS": this.control("STATUS", { queue_length: this.frames(), media_paused: this.paused }); break;
            case "REPORT_QUEUE_DRAINED": this.wantsDrained = true; break;
            case "HANGUP": this.socket.close(1000); break;
            default: this.wrong("unknown command " + m.command);
        }
    }
};
