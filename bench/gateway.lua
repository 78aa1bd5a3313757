-- Packets for wrk: bodies of 427 bytes, each thread with 128 calls of its own, whose packets come in order.
-- usage: wrk -s gateway.lua URL -- PREFIX [TOKEN]
local calls = 128
local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

function init(arguments)
   n = -1
   prefix = arguments[1] .. "-" .. number .. "-"
   local token = arguments[2] and "Authorization: Bearer " .. arguments[2] .. "\r\n" or ""
   fill = string.rep("0123456789abcdef", 32)
   head = {}
   for call = 0, calls - 1 do
      head[call] = "POST /v1/call/stream/" .. prefix .. call .. " HTTP/1.1\r\nHost: bench\r\n" .. token ..
         "Content-Type: application/json\r\nContent-Length: 427\r\n\r\n"
   end
end

function request()
   n = n + 1
   local begin = '{"sequence":' .. math.floor(n / calls) .. ',"timestamp":1234567890.5,"data":"'
   return head[n % calls] .. begin .. fill:sub(1, 425 - #begin) .. '"}'
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format("result %d %d %d %.3f %.3f %.3f\n", summary.requests,
      errors.status + errors.connect + errors.read + errors.write + errors.timeout, summary.duration,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
