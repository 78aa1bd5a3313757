// Asterisk's AudioSocket.  It drops a call of which the rest of a message is 5 ms late, of an unknown kind, or that is silent on both sides
// for two seconds; what comes faster than it is played overflows the channel's queue, which is short.
//
//	open		port, uuid
"use strict";
const net = require("net");
const { Call } = require("./media_call.js");

const HANGUP = 0x00, UUID = 0x01, DIGIT = 0x03, AUDIO = 0x10;
const QUEUE = 10; // frames
const LATE = 5; // ms
const IDLE = 2000;

module.exports = class AudioSocket extends Call {
    constructor(command) {
        super(command, { width: 2, in: Buffer.alloc(0), idle: 0, pieces: 0 });
        this.socket = net.connect(command.port, "127.0.0.1", () => {
            this.message(UUID, Buffer.from(command.uuid.replace(/-/g, ""), "hex"));
            this.tell("open", {});
            this.begin();
        });
        this.socket.setNoDelay(true);
        this.socket.on("data", (bytes) => this.take(bytes));
        this.socket.on("error", () => {});
        this.socket.on("close", () => this.closed(this.told ? 1000 : 1006, this.told || "closed"));
    }
    message(kind, payload) {
        const head = Buffer.from([kind, payload.length >> 8, payload.length & 0xff]);
        this.idle = 0;
        if (!this.socket.destroyed) this.socket.write(Buffer.concat([head, payload]));
    }
    media(part) { this.message(AUDIO, part); }
    press(digit) { this.message(DIGIT, Buffer.from(digit)); }
    start() {}
    raw(data) { this.socket.write(data); }
    stop() {
        this.message(HANGUP, Buffer.alloc(0));
        this.socket.end();
    }
    hangUp() { this.socket.destroy(); }
    // What has come is taken first, however late this process is itself; its idle time is counted in its turns for the same reason.
    tick() {
        setImmediate(() => {
            if (this.over) return;
            this.play();
            // what came too late to be played in its time is not a burst
            if (this.frames() > QUEUE + this.played.filter((f) => !f).length) this.wrong("the queue overflows");
            this.idle += 5;
            if (this.idle > IDLE) { this.wrong("silent for two seconds"); this.hangUp(); }
        });
    }
    take(bytes) {
        const n = ++this.pieces;
        this.idle = 0;
        clearTimeout(this.late);
        this.in = this.in.length ? Buffer.concat([this.in, bytes]) : bytes;
        while (this.in.length >= 3 && !this.told) {
            const length = this.in.readUInt16BE(1);
            if (this.in.length < 3 + length) {
                // the header may dribble, the payload may not
                this.late = setTimeout(() => setImmediate(() => { if (this.pieces === n) { this.wrong("a payload is late"); this.hangUp(); } }), LATE);
                return;
            }
            this.took(this.in[0], this.in.subarray(3, 3 + length));
            this.in = this.in.subarray(3 + length);
        }
    }
    took(kind, payload) {
        if (kind === HANGUP) {
            this.told = "told to hang up";
            this.socket.end();
        } else if (kind !== AUDIO || payload.length === 0 || payload.length % 2) {
            this.wrong("kind " + kind + " of " + payload.length);
            this.hangUp();
        } else this.hear(payload);
    }
};
