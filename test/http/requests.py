#!/usr/bin/python3
"""Requests for the comparison of HTTP parsers, and what h11 makes of them.

usage: requests.py make FILE N   writes N requests, the same ones each time
       requests.py h11 FILE      a line for each: accept METHOD TARGET BODY REST | refuse | more
"""
import random
import struct
import sys

BASES = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a/b?c=d&e HTTP/1.1\r\nHost: example.com:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
    b"POST /v1/call/a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"GET /old HTTP/1.0\r\n\r\n",
    b"DELETE /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Empty:\r\nX-High: \xc3\xa9\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nabPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
]
LINES = [
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: +5", b"Content-Length: -1", b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"content-length:5", b"Content-Length : 5", b"Content-Length:\t5", b"Content-Length: 05", b"Content-Length: 5 5", b"Content-Length:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Host: y", b"Host:", b"Host: a b", b" folded", b"\tfolded", b"NoColon", b": noname", b"A\x00: b", b"A: b\x00c", b"A: b\rc", b"A: \x7f",
    b"A: \xff", b"Connection: close", b"Connection: upgrade", b"Expect: 100-continue", b"Expect: x", b"A(b): c", b"A: " + b"x" * 300,
]
PIECES = [
    b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b":", b";", b"0", b"1", b"5", b"a", b"F", b"-", b"+", b",", b"/", b"?", b"#", b"%",
    b"\x0b", b"\x0c",
    b"\x1f", b"\x7f", b"\x80", b"\xff", b"HTTP/1.1", b"chunked", b"0\r\n\r\n", b"\r\n\r\n", b"(", b"\"", b"@",
]


def mutate(chance, request):
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        kind = chance.randrange(7)
        at = chance.randrange(len(request) + 1)
        if kind == 0:
            request = request[:at] + chance.choice(PIECES) + request[at:]
        elif kind == 1 and at < len(request):
            request = request[:at] + request[at + 1:]
        elif kind == 2 and at < len(request):
            request = request[:at] + chance.choice(PIECES) + request[at + 1:]
        elif kind == 3:
            lines = request.split(b"\r\n")
            lines.insert(chance.randrange(1, max(2, len(lines))), chance.choice(LINES))
            request = b"\r\n".join(lines)
        elif kind == 4:
            lines = request.split(b"\r\n")
            line = chance.randrange(len(lines))
            lines.insert(line, lines[line])
            request = b"\r\n".join(lines)
        elif kind == 5:
            ends = [i for i in range(len(request) - 1) if request[i:i + 2] == b"\r\n"]
            if ends:
                end = chance.choice(ends)
                request = request[:end] + chance.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n"]) + request[end + 2:]
        elif kind == 6:
            request = request[:at] + chance.choice(PIECES) * chance.randrange(2, 40) + request[at:]
    return request


def make(path, n):
    chance = random.Random(11)
    with open(path, "wb") as out:
        for i in range(n):
            request = BASES[i] if i < len(BASES) else mutate(chance, chance.choice(BASES))
            out.write(struct.pack(">I", len(request)) + request)


def cases(path):
    data = open(path, "rb").read()
    at = 0
    while at < len(data):
        n = struct.unpack(">I", data[at:at + 4])[0]
        yield data[at + 4:at + 4 + n]
        at += 4 + n


def by_h11(path):
    import h11

    for request in cases(path):
        connection = h11.Connection(h11.SERVER)
        body = b""
        head = None
        try:
            connection.receive_data(request)
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    print("more")
                    break
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    rest = len(connection.trailing_data[0])
                    print("accept", head.method.decode("latin-1"), head.target.decode("latin-1"), body.hex() or "-", rest)
                    break
        except h11.RemoteProtocolError:
            print("refuse")


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]))
else:
    by_h11(sys.argv[2])
