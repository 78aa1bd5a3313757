// Twilio's own library (npm twilio), asked what it says of the same things; all of it by chance, but each time the same.
//	node twilio.js cases N		N requests: {url, params, token, signature, form, body, seen: {...}, verdict}, a JSON object a line
//	node twilio.js middleware	reads {url, params, token, signature, body} a line; writes the status that its middleware answers with
//	node twilio.js twiml N		N documents: {verbs, xml}: the verbs as twiml() takes them, and what VoiceResponse makes of the same
"use strict";
const twilio = require("twilio");
const { getExpectedTwilioSignature, getExpectedBodyHash, validateRequest, validateRequestWithBody } = require("twilio/lib/webhooks/webhooks");

let state = 20260101;
function chance(n) {
    // mulberry32, by Tommy Ettinger
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
}
const one = (list) => list[chance(list.length)];
const many = (n, make) => Array.from({ length: n }, make);
const digits = (n) => many(n, () => chance(10)).join("");

// ---- requests ----

// Names and repeated values are sorted: by code units there, by bytes here, which differ for what lies above U+E000 alone.
const sorted = [..."abcxyzABCXYZ0189_.-[]'\"&=+% ;:/?#@,~*()äßéñ한안녕☎Ωж\t", "​"];
const any = [...sorted, ..."🎧𝄞\uffed\ue000\n\r<>\\", "́"];
const text = (characters, most) => many(chance(most + 1), () => one(characters)).join("");
const known = ["CallSid", "AccountSid", "From", "To", "CallStatus", "Digits", "SpeechResult", "CallerName", "SequenceNumber", "ApiVersion"];

function parameters() {
    const params = {};
    for (let i = chance(16); i > 0; i--) {
        const name = chance(2) ? one(known) : text(sorted, 8);
        if (name === "__proto__") continue;
        params[name] = chance(6) ? text(any, 30) : many(1 + chance(4), () => one([text(sorted, 6), "5678", "1234", ""]));
    }
    return params;
}

// What stands raw in a path or a query; an apostrophe only in the latter, which the URL Standard encodes there.
const piece = () => many(1 + chance(6), () => one([..."abcXYZ019-_.~!$()*,;:@", "%20", "%2F", "%C3%A4", "%EC%95%88", "%2b"])).join("");
function url() {
    const scheme = one(["https", "https", "https", "http"]);
    const user = one(["", "", "", "user@", "user:pass@", "a.b:c-d@"]);
    const host = one(["example.com", "mycompany.com", "Hooks.Example.COM", "a-b.example", "127.0.0.1", "[2001:db8::1]", "localhost"]);
    const port = one(["", "", "", ":443", ":80", ":8443", ":1234"]);
    const path = "/" + many(chance(4), piece).map((p) => (/^\.\.?$/.test(p) ? "x" : p)).join("/") + one(["", "", "/", "//"]);
    const query = chance(2) ? "" : "?" + many(chance(5), () => piece() + one(["=", "=", ""]) + one([piece(), "", "it's", "a+b"])).join("&");
    return { scheme, user, host, port, path, query };
}
const written = (u) => `${u.scheme}://${u.user}${u.host}${u.port}${u.path}${u.query}`;

// As a browser would send it: repeated names as often as they stand.
function form(params) {
    const out = new URLSearchParams();
    for (const name of Object.keys(params)) for (const value of [].concat(params[name])) out.append(name, value);
    return out.toString();
}

function request(token) {
    const u = url();
    if (chance(5) > 0) {
        const params = parameters();
        return { u, params, url: written(u), form: form(params), signature: getExpectedTwilioSignature(token, written(u), params) };
    }
    const body = JSON.stringify(chance(4) ? { property: text(any, 20), list: [chance(100), null, true], ...parameters() } : {});
    u.query = (u.query ? u.query + "&" : "?") + "bodySHA256=" + getExpectedBodyHash(body);
    return { u, params: {}, body, url: written(u), signature: getExpectedTwilioSignature(token, written(u), {}) };
}

// The same request as somebody else may see it, or make it up.
function changed(r) {
    const u = { ...r.u };
    const seen = { params: { ...r.params }, body: r.body, signature: r.signature };
    const names = Object.keys(seen.params);
    switch (chance(14)) {
        case 0: u.port = ""; break;
        case 1: u.port = one([":443", ":80", ":8443", ":9999"]); break;
        case 2: u.path += "/"; break;
        case 3: u.path = u.path.replace(/.$/, "") || "/"; break;
        case 4: u.host = u.host.toUpperCase(); break;
        case 5: u.query = u.query.replace("it's", "it%27s"); break;
        case 6: u.query = u.query + (u.query ? "&" : "?") + "x=1"; break;
        case 7: u.scheme = u.scheme === "https" ? "http" : "https"; break;
        case 8: if (names.length) delete seen.params[one(names)]; break;
        case 9: seen.params["Extra"] = "1"; break;
        case 10: if (names.length) { const n = one(names); seen.params[n] = [].concat(seen.params[n]).reverse(); } break;
        case 11: seen.signature = one([r.signature.slice(0, 27), r.signature.toLowerCase(), "", r.signature + "=", "x".repeat(28)]); break;
        case 12: if (seen.body !== undefined) seen.body += " "; break;
        default: break;
    }
    seen.url = written(u);
    return seen;
}

function cases(n) {
    for (let i = 0; i < n; i++) {
        const token = chance(2) ? "12345" : one(["f".repeat(32), "ö" + digits(20), digits(32)]);
        const r = request(token);
        const seen = changed(r);
        const verdict = seen.body === undefined ? validateRequest(token, seen.signature, seen.url, seen.params)
            : validateRequestWithBody(token, seen.signature, seen.url, seen.body);
        console.log(JSON.stringify({ url: r.url, params: r.params, token, signature: r.signature, form: r.form, body: r.body, seen, verdict }));
    }
}

// A request as Express hands it to the middleware.
function middleware(lines) {
    for (const line of lines) {
        const c = JSON.parse(line);
        let status = 0;
        const headers = { "x-twilio-signature": c.signature };
        const response = { type: () => response, status: (s) => { status = s; return response; }, send: () => response };
        twilio.webhook(c.token, { url: c.url })({ header: (name) => headers[name.toLowerCase()], headers, body: c.params, rawBody: c.body,
            protocol: "https", originalUrl: "/" }, response, () => { status = 200; });
        console.log(status);
    }
}

// ---- TwiML ----

const sentence = () => text([...any.filter((c) => !"\t\n\r".includes(c)), " "], 40).trim() || "Hello & <welcome>";
const address = () => one(["https://hooks.example/twilio/dtmf?step=1&token=x", "/twilio/dtmf?a=1&b=%20", "https://a.example/x'y", "next.xml"]);
const method = () => one(["GET", "POST"]);
const number = () => "+1" + (2 + chance(8)) + digits(9);
const boolean = () => chance(2) === 1;

// What each verb takes: by the name here, by the name there, and a value.
const attributes = {
    say: [["voice", "voice", () => one(["alice", "Polly.Joanna-Neural", "man"])], ["language", "language", () => one(["en-US", "de-DE", "ko-KR"])], ["loop", "loop", () => chance(4)]],
    gather: [["input", "input", () => one(["dtmf", "speech", "dtmf speech"])], ["action", "action", address], ["method", "method", method],
        ["timeout", "timeout", () => chance(30)], ["finish_on_key", "finishOnKey", () => one(["#", "*", "5", ""])], ["num_digits", "numDigits", () => 1 + chance(30)],
        ["action_on_empty_result", "actionOnEmptyResult", boolean]],
    record: [["action", "action", address], ["method", "method", method], ["timeout", "timeout", () => chance(30)], ["finish_on_key", "finishOnKey", () => one(["#", "1234567890*#", ""])],
        ["max_length", "maxLength", () => 1 + chance(3600)], ["play_beep", "playBeep", boolean], ["trim", "trim", () => one(["trim-silence", "do-not-trim"])],
        ["recording_status_callback", "recordingStatusCallback", address], ["recording_status_callback_event", "recordingStatusCallbackEvent", () => "in-progress completed absent"],
        ["transcribe", "transcribe", boolean], ["transcribe_callback", "transcribeCallback", address]],
    dial: [["action", "action", address], ["method", "method", method], ["timeout", "timeout", () => 1 + chance(60)], ["time_limit", "timeLimit", () => 1 + chance(14400)],
        ["caller_id", "callerId", number], ["record", "record", () => one(["do-not-record", "record-from-answer-dual"])],
        ["recording_status_callback", "recordingStatusCallback", address], ["answer_on_bridge", "answerOnBridge", boolean], ["hangup_on_star", "hangupOnStar", boolean]],
    connect: [["action", "action", address], ["method", "method", method]],
    stream: [["name", "name", () => "s " + text(sorted.filter((c) => c !== "\t"), 8)], ["status_callback", "statusCallback", address], ["status_callback_method", "statusCallbackMethod", method]],
    start_recording: [["channels", "channels", () => one(["mono", "dual"])], ["track", "track", () => one(["inbound", "outbound", "both"])],
        ["trim", "trim", () => one(["trim-silence", "do-not-trim"])], ["recording_status_callback", "recordingStatusCallback", address]],
};
function take(verb, ours) {
    const theirs = {};
    for (const [here, there, value] of attributes[verb]) {
        if (chance(2)) continue;
        ours[here] = theirs[there] = value();
    }
    return theirs;
}

// Adds a verb to both.
const verbs = {
    say(list, to) { const v = { verb: "say", text: sentence() }; to.say(take("say", v), v.text); list.push(v); },
    play(list, to) {
        const v = { verb: "play" };
        if (chance(2)) { v.digits = "w" + digits(5) + "*#AD"; to.play({ digits: v.digits }); }
        else { v.url = address(); const loop = chance(4); if (loop) v.loop = loop; to.play(loop ? { loop } : {}, v.url); }
        list.push(v);
    },
    pause(list, to) { const v = { verb: "pause", length: 1 + chance(10) }; to.pause({ length: v.length }); list.push(v); },
    gather(list, to) {
        const v = { verb: "gather", verbs: [] };
        const g = to.gather(take("gather", v));
        for (let i = chance(3); i > 0; i--) verbs[one(["say", "play", "pause"])](v.verbs, g);
        list.push(v);
    },
    record(list, to) { const v = { verb: "record" }; to.record(take("record", v)); list.push(v); },
    dial(list, to) {
        const v = { verb: "dial", number: chance(2) ? number() : many(1 + chance(3), number) };
        const d = to.dial(take("dial", v));
        if (chance(3) === 0) v.send_digits = "ww" + digits(3) + "#";
        for (const n of [].concat(v.number)) d.number(v.send_digits ? { sendDigits: v.send_digits } : {}, n);
        list.push(v);
    },
    connect(list, to) {
        const v = { verb: "connect", url: one(["wss://hooks.example/twilio/ws", "wss://a.example:8443/x'y"]) };
        const c = to.connect(take("connect", v));
        const s = c.stream({ url: v.url, ...take("stream", v) });
        // jsonb sorts names by their length first
        if (chance(2)) { v.parameters = { a: sentence(), call_sid: "CA" + digits(8) }; for (const name of Object.keys(v.parameters)) s.parameter({ name, value: v.parameters[name] }); }
        list.push(v);
    },
    start_recording(list, to) { const v = { verb: "start_recording" }; to.start().recording(take("start_recording", v)); list.push(v); },
    redirect(list, to) { const v = { verb: "redirect", url: address() }; const m = one([undefined, "GET", "POST"]); if (m) v.method = m; to.redirect(m ? { method: m } : {}, v.url); list.push(v); },
    reject(list, to) { const v = { verb: "reject" }; const reason = one([undefined, "rejected", "busy"]); if (reason) v.reason = reason; to.reject(reason ? { reason } : {}); list.push(v); },
    hangup(list, to) { list.push({ verb: "hangup" }); to.hangup(); },
};

function twiml(n) {
    for (let i = 0; i < n; i++) {
        const response = new twilio.twiml.VoiceResponse();
        const list = [];
        // each verb alone, then several by chance
        const names = Object.keys(verbs);
        if (i < names.length * 20) verbs[names[i % names.length]](list, response);
        else for (let k = 1 + chance(4); k > 0; k--) verbs[one(names.filter((name) => name !== "reject"))](list, response);
        console.log(JSON.stringify({ verbs: list, xml: response.toString() }));
    }
}

const [mode, n] = process.argv.slice(2);
if (mode === "cases") cases(Number(n));
else if (mode === "twiml") twiml(Number(n));
else middleware(require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean));
