// Those who bring calls as streams, for tests only, written from their rules and with their cruelties: Twilio's Media Streams, Asterisk's
// chan_websocket, jambonz' verb listen (over the WebSockets of another maker, npm ws), Asterisk's AudioSocket.  Reads a command a line,
// JSON, from standard input, and writes what happens in the same way.
//
//	open		id, kind (twilio, asterisk, jambonz, audiosocket), url, headers, delay (ms each way; twilio and asterisk); audiosocket: port, uuid
//	send		id, text or binary (base64)		as it is
//	start		id, what the kind says of a call
//	speak		id, audio (base64), chunk (bytes), skip [numbers of chunks], realtime, again (chunk numbers from 1)
//	press		id, digit						as a message
//	stop		id								says so and closes;  drop: closes without a word
//	ear			id								what was played up to now
//	live		id								from now on there is a frame each 20 ms, of silence where nothing is said
//				noise (level, rms), echo (dB of what is played, back in what is said), echoDelay (ms)
//	mute		id, on							no frames at all
//	say			id, audio (base64, mu-law), wait (ms of silence before it)		in it; "said" tells the frames it had, and when the last was sent (ms of a clock)
//	arrival		id, since						when audio to be played came first behind that time
//	timeline	id								all that the ear has had since the beginning, silence too, and the frame in which "live" began
//	sent		id								all that was said in live
//	levels		id, since						the amplitude of each frame at the ear from that one of the line on
//	quit
//
// What is played is played in real time, in frames of 20 ms; what somebody must not send is in "errors" when it closes.
"use strict";
const readline = require("readline");
const kinds = { twilio: require("./media_twilio.js"), asterisk: require("./media_asterisk.js"), jambonz: require("./media_jambonz.js"), audiosocket: require("./media_audiosocket.js") };

const calls = new Map();

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const command = JSON.parse(line);
    if (command.op === "quit") process.exit(0);
    if (command.op === "open") calls.set(command.id, new kinds[command.kind || "twilio"](command));
    else calls.get(command.id).act(command);
}).on("close", () => process.exit(0));
