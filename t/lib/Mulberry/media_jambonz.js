// The verb listen of jambonz: a message about the call, then linear audio both ways.  It answers marks at once, whatever was played, and
// forgets what it was sent at killAudio.
//
//	start		call, from, to
"use strict";
const { SocketCall } = require("./media_call.js");

module.exports = class Jambonz extends SocketCall {
    constructor(command) { super(command, { width: 2 }); }
    // what has come is played, however late this process is itself
    tick() { setImmediate(() => { if (!this.over) this.play(); }); }
    media(part) { this.raw(part); }
    press(digit) { this.raw(JSON.stringify({ event: "dtmf", dtmf: digit, duration: "1600" })); }
    start(command) {
        this.raw(JSON.stringify({ callSid: command.call, from: command.from, to: command.to, sampleRate: 8000, mixType: "mono" }));
    }
    take(data, binary) {
        if (binary) {
            if (data.length % this.frameBytes) this.wrong("a message of " + data.length);
            this.hear(data);
            return;
        }
        const m = this.read(data);
        if (m === null) return;
        switch (m.type) {
            case "mark": this.echo(); this.raw(JSON.stringify({ type: "mark", data: { name: m.data.name, event: "playout" } })); break;
            case "clearMarks": break;
            case "killAudio": this.forget(); break;
            case "disconnect": this.tell("told", { what: "disconnect" }); break;
            default: this.wrong("unknown type " + m.type);
        }
    }
};
