# A client of GET /v1/listen by python3-websockets: does what its script says, one JSON array each, and prints what it is told.
# usage: listener.py URL HEADER=VALUE ... <script
#	["audio", file, chunk]	sends the file in messages of so many bytes
#	["text", message]
#	["await", text]			waits until a message with this text has come
#	["vanish"]				closes the connection without a word
import asyncio
import json
import sys

import websockets


async def main():
    headers = dict(item.split('=', 1) for item in sys.argv[2:])
    script = [json.loads(line) for line in sys.stdin]
    try:
        socket = await websockets.connect(sys.argv[1], extra_headers=headers, max_size=None)
    except websockets.exceptions.InvalidStatusCode as e:
        print('refused', e.status_code, flush=True)
        return
    print('connected', flush=True)
    heard = []
    news = asyncio.Condition()

    async def listen():
        try:
            async for message in socket:
                print(message, flush=True)
                async with news:
                    heard.append(message)
                    news.notify_all()
        except websockets.exceptions.ConnectionClosed:
            pass
        print('closed', socket.close_code, socket.close_reason, flush=True)
        async with news:
            heard.append(None)
            news.notify_all()

    listener = asyncio.create_task(listen())
    try:
        for what, *arguments in script:
            if what == 'audio':
                with open(arguments[0], 'rb') as file:
                    while chunk := file.read(arguments[1]):
                        await socket.send(chunk)
                        await asyncio.sleep(0)
            elif what == 'text':
                await socket.send(arguments[0])
            elif what == 'await':
                async with news:
                    await news.wait_for(lambda: any(m is None or arguments[0] in m for m in heard))
            elif what == 'vanish':
                socket.transport.abort()
    except websockets.exceptions.ConnectionClosed:
        pass
    await listener

asyncio.run(main())
