# A client of another maker: prints what a WebSocket sends, a line each, and how it ended.
# usage: supervisor.py URL [header=value | subprotocol=NAME | read=SECONDS to wait before reading] ...
import asyncio
import sys
import websockets


async def main():
    headers, subprotocols, pause = [], [], 0
    for argument in sys.argv[2:]:
        name, value = argument.split("=", 1)
        if name == "subprotocol":
            subprotocols.append(value)
        elif name == "read":
            pause = float(value)
        else:
            headers.append((name, value))
    try:
        async with websockets.connect(sys.argv[1], extra_headers=headers, subprotocols=subprotocols or None) as socket:
            print("connected", socket.subprotocol, flush=True)
            await asyncio.sleep(pause)
            async for message in socket:
                print(message, flush=True)
        print("closed", socket.close_code, socket.close_reason, flush=True)
    except websockets.exceptions.InvalidStatusCode as error:
        print("refused", error.status_code, flush=True)
    except websockets.exceptions.ConnectionClosed as error:
        print("closed", error.code, error.reason, flush=True)


asyncio.run(main())
