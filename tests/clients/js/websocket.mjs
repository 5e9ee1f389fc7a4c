// The kit over a WebSocket in Node. Arguments: the server's address, its model, a question (s16 LE, 24 kHz).

import { readFileSync } from 'node:fs';
import * as kit from '@openai/agents-realtime';
import { converse } from './scenario.mjs';

const [url, model, questionFile] = process.argv.slice(2);
const RATE = 24_000;
const question = readFileSync(questionFile);
const silence = Buffer.alloc(2 * RATE);

const transport = new kit.OpenAIRealtimeWebSocket({ url: `${url}?model=${encodeURIComponent(model)}` });
let bytes = 0;
transport.on('audio', ({ data }) => (bytes += data.byteLength));

// For the server, time is samples received: it may have them as fast as they go.
function send(pcm) {
  for (let begin = 0; begin < pcm.length; begin += RATE / 5) {
    const chunk = pcm.subarray(begin, begin + RATE / 5);
    transport.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.length));
  }
}

const voice = {
  soundEvent: 'response.output_audio.delta',
  cutEvent: 'conversation.item.truncated',
  speak() {
    send(question);
    send(silence);
  },
  bargeIn() {
    this.speak();
  },
  async hush() {},
  heard: () => ({ bytes }),
};

const saw = await converse({ kit, transport, model, voice });
console.log(JSON.stringify(saw));
