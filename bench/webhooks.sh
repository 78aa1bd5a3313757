#!/bin/bash
# How long a caller waits: answers to /twilio/voice at a rate of new calls, each of which is stored and flushed, through
# mulberry-gateway.  Milliseconds from the time at which a request was due, so that what is late is not left out.
#
# usage: bench/webhooks.sh [calls a second] [seconds]	(default: 50 20)
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$top/scripts/common.sh"
# shellcheck source=bench/cluster.sh
. "$top/bench/cluster.sh"
# shellcheck disable=SC2154 # $work, $bindir come from scripts/common.sh

make_workplace
build
make -s -C "$top" programs
start_bench_cluster "mulberry.workers = 0"
"$bindir/psql" -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET client_min_messages = warning;
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', NULL) \g /dev/null
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token',
    options => '{"account_sid": "AC11111111111111111111111111111111", "from": "+15005550006", "public_url": "https://hooks.example"}') \g /dev/null
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome", "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "say", "text": "One"}}}}}') \g /dev/null
SQL
printf 'default\ttoken\t12345\n' | "$bindir/psql" -Xq -c 'COPY mulberry.secret_entry FROM stdin'
"$top/gateway/mulberry-gateway" --database "host=$work user=gate dbname=bench" --listen 127.0.0.1:0 --twilio-listen 127.0.0.1:0 \
    --public-url https://hooks.example 2>"$work/gateway.log" &
echo $! >"$work/gateway.pid"
until grep -q '"serving"' "$work/gateway.log"; do sleep 0.1; done
port=$(grep -o 'port [0-9]*' "$work/gateway.log" | tail -1)
python3 "$top/bench/webhooks_client.py" "${port#port }" "${1:-50}" "${2:-20}"
