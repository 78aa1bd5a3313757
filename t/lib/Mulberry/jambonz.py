# The verb listen of jambonz: tells of a call, sends audio as it is spoken, keeps what comes.
# usage: jambonz.py URL PASSWORD FIRST-MESSAGE HEARD-FILE [SCRIPT-LINE ...]
#	audio FILE		16 bits, a frame each 20 ms
#	text MESSAGE
#	binary HEX
#	close
# Prints "open", what comes as text, "done" behind the script, "closed CODE REASON" or "refused STATUS".
import asyncio
import base64
import sys
import websockets

try:
    from websockets.asyncio.client import connect
    HEADERS = "additional_headers"
except ImportError:
    from websockets import connect
    HEADERS = "extra_headers"


async def hear(socket, path):
    with open(path, "wb", buffering=0) as sound:
        async for message in socket:
            if isinstance(message, bytes):
                sound.write(message)
            else:
                print(message, flush=True)


async def main():
    url, password, first, path = sys.argv[1:5]
    basic = base64.b64encode(f"jambonz:{password}".encode()).decode()
    try:
        async with connect(url, subprotocols=["audio.jambonz.org"], **{HEADERS: [("Authorization", f"Basic {basic}")]}) as socket:
            print("open", socket.subprotocol, flush=True)
            hearing = asyncio.create_task(hear(socket, path))
            try:
                if first:
                    await socket.send(first)
                for line in sys.argv[5:]:
                    what, _, rest = line.partition(" ")
                    if what == "audio":
                        audio = open(rest, "rb").read()
                        at = asyncio.get_running_loop().time()
                        for i in range(0, len(audio), 320):
                            await socket.send(audio[i:i + 320])
                            at += 0.02
                            await asyncio.sleep(max(0, at - asyncio.get_running_loop().time()))
                    elif what == "text":
                        await socket.send(rest)
                    elif what == "binary":
                        await socket.send(bytes.fromhex(rest))
                    elif what == "close":
                        await socket.close()
                print("done", flush=True)
            except websockets.exceptions.ConnectionClosed:
                pass
            try:
                await hearing
            except websockets.exceptions.ConnectionClosed:
                pass
            print("closed", socket.close_code, socket.close_reason, flush=True)
    except websockets.exceptions.InvalidHandshake as error:
        print("refused", error.response.status_code if hasattr(error, "response") else error.status_code, flush=True)


asyncio.run(main())
