// The SDK under a test's hand: a command a line comes in, whatever the client says goes out, a line each.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { RealtimeClient } from '../../../clients/mobile/dist/index.js';

const WebSocket = createRequire(new URL('../../../clients/mobile/package.json', import.meta.url))('ws');
const tell = (on, what) => console.log(JSON.stringify({ on, ...what }));
const lines = createInterface({ input: process.stdin });
let client;

const commands = {
  open({ options }) {
    client = new RealtimeClient({ WebSocket, ...options });
    for (const name of ['state', 'dropped']) client.on(name, (what) => tell(name, what));
    client.on('event', (event) => tell('event', { event: { ...event, delta: event.delta?.slice(0, 100) } }));
    client.on('audio', ({ samples }) => tell('audio', { ms: (samples.length * 1000) / 24_000 }));
    client.connect().then(
      (session) => tell('opened', { session }),
      (error) => tell('rejected', { name: error.name, message: error.message }),
    );
  },
  send: ({ event }) => client.send(event),
  // Samples of a file, in pieces as a microphone might give them, then silence; paced: as fast as the
  // socket takes them, and not faster.
  async speak({ file, silenceMs, paced = false }) {
    const bytes = file ? readFileSync(file) : Buffer.alloc(0);
    const speech = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const samples = new Int16Array(speech.length + silenceMs * 24);
    samples.set(speech);
    for (let at = 0; at < samples.length; at += 1000) {
      client.appendAudio(samples.subarray(at, at + 1000));
      if (paced) await setImmediate();
    }
  },
  close() {
    client.close();
    lines.close();
  },
};

for await (const line of lines) {
  const command = JSON.parse(line);
  try {
    await commands[command.do](command);
    tell('done', { command: command.do });
  } catch (error) {
    tell('threw', { name: error.name, message: error.message });
  }
}
