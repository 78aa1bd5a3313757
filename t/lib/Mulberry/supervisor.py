# A client of another maker: prints what a WebSocket sends, a line each, and how it ended.
# usage: supervisor.py URL [header=value | subprotocol=NAME | read=SECONDS to wait before reading | write=FILE for binary messages
#	| window=BYTES that its kernel keeps] ...
import asyncio
import socket as sockets
import sys
import urllib.parse
import websockets

try:
    # since its version 13
    from websockets.asyncio.client import connect
    HEADERS = "additional_headers"
except ImportError:
    from websockets import connect
    HEADERS = "extra_headers"


async def main():
    headers, subprotocols, pause, sound, more = [], [], 0, None, {}
    for argument in sys.argv[2:]:
        name, value = argument.split("=", 1)
        if name == "subprotocol":
            subprotocols.append(value)
        elif name == "read":
            pause = float(value)
        elif name == "window":
            url = urllib.parse.urlparse(sys.argv[1])
            more["sock"] = sockets.socket()
            more["sock"].setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, int(value))
            more["sock"].connect((url.hostname, url.port))
        elif name == "write":
            sound = open(value, "wb", buffering=0)
        else:
            headers.append((name, value))
    try:
        async with connect(sys.argv[1], subprotocols=subprotocols or None, open_timeout=None, **{HEADERS: headers}, **more) as socket:
            print("connected", socket.subprotocol, flush=True)
            await asyncio.sleep(pause)
            async for message in socket:
                if isinstance(message, bytes) and sound:
                    sound.write(message)
                else:
                    print(message, flush=True)
        print("closed", socket.close_code, socket.close_reason, flush=True)
    except websockets.exceptions.InvalidHandshake as error:
        print("refused", error.response.status_code if hasattr(error, "response") else error.status_code, flush=True)
    except websockets.exceptions.ConnectionClosed as error:
        print("closed", error.rcvd.code if error.rcvd else 1006, error.rcvd.reason if error.rcvd else "", flush=True)


asyncio.run(main())
