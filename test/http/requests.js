// What the HTTP parser of node makes of requests: a line for each, accept METHOD TARGET BODY | refuse | more.
//
// usage: node requests.js FILE
'use strict';
const fs = require('fs');
const http = require('http');
const { Duplex } = require('stream');

// Feeds a request to a server over a connection that is none, and resolves to what became of it.
function judge(bytes) {
    return new Promise((resolve) => {
        let verdict;
        const server = http.createServer();
        const take = (request, response) => {
            const pieces = [];
            request.on('data', (piece) => pieces.push(piece));
            request.on('error', () => {});
            request.on('end', () => {
                verdict ||= `accept ${request.method} ${request.url} ${Buffer.concat(pieces).toString('hex') || '-'}`;
            });
            response.on('error', () => {});
        };
        for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, take);
        server.on('clientError', (error) => {
            if (error.code !== 'ECONNRESET') verdict ||= 'refuse';
        });
        const connection = new Duplex({ read() {}, write(chunk, encoding, done) { done(); } });
        connection.on('error', () => {});
        server.emit('connection', connection);
        connection.push(bytes);
        setImmediate(() => setImmediate(() => setImmediate(() => {
            resolve(verdict || 'more');
            connection.destroy();
        })));
    });
}

(async () => {
    const data = fs.readFileSync(process.argv[2]);
    for (let at = 0; at < data.length;) {
        const n = data.readUInt32BE(at);
        console.log(await judge(data.subarray(at + 4, at + 4 + n)));
        at += 4 + n;
    }
})();
