// Decisions of WebRTC's detector (npm @echogarden/fvad-wasm) for 16-bit samples at 8 kHz on standard input: a digit
// for each frame of 20 ms.
//
// usage: node vad_webrtc.mjs MODULE_DIRECTORY [MODE] <PCM
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [directory, mode = '2'] = process.argv.slice(2);
const { default: fvad } = await import(pathToFileURL(`${directory}/node_modules/@echogarden/fvad-wasm/fvad.js`));
const module = await fvad();
const pcm = readFileSync(0);
const vad = module._fvad_new();
module._fvad_set_sample_rate(vad, 8000);
module._fvad_set_mode(vad, Number(mode));
const buffer = module._malloc(320);
let decisions = '';
for (let at = 0; at + 320 <= pcm.length; at += 320) {
    module.HEAPU8.set(pcm.subarray(at, at + 320), buffer);
    decisions += module._fvad_process(vad, buffer, 160) === 1 ? '1' : '0';
}
process.stdout.write(decisions);
