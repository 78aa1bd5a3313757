# Calls that come in at a steady rate: how long each waits for its TwiML, from when it was due.
# usage: webhooks_client.py PORT CALLS-A-SECOND SECONDS
import asyncio
import base64
import hashlib
import hmac
import os
import sys
import time
import urllib.parse

port, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
url, token = "https://hooks.example/twilio/voice", b"12345"


def request():
    fields = {"AccountSid": "AC" + "1" * 32, "CallSid": "CA" + os.urandom(16).hex(), "From": "+12025550123", "To": "+12025550100",
              "CallStatus": "ringing", "ApiVersion": "2010-04-01", "Direction": "inbound"}
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(token, signed.encode(), hashlib.sha1).digest()).decode()
    body = urllib.parse.urlencode(fields)
    return (f"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}").encode()


async def call(due, times):
    await asyncio.sleep(due - time.monotonic())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request())
    answer = await reader.read()
    writer.close()
    times.append(((time.monotonic() - due) * 1000, answer.startswith(b"HTTP/1.1 200 ") and b"<Gather" in answer))


async def main():
    times = []
    begun = time.monotonic() + 0.5
    await asyncio.gather(*[call(begun + n / rate, times) for n in range(int(rate * seconds))])
    waits = sorted(t for t, _ in times)
    at = lambda share: waits[min(len(waits) - 1, int(len(waits) * share))]
    print(f"{len(times)} calls at {rate:g}/s, {sum(good for _, good in times)} greeted; ms: p50 {at(.5):.1f}, p95 {at(.95):.1f}, "
          f"p99 {at(.99):.1f}, most {waits[-1]:.1f}; load {os.getloadavg()[0]:.1f}")

asyncio.run(main())
