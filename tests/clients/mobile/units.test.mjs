// The parts of the SDK that need no connection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chunker, decodeSamples, encodeSamples } from '../../../clients/mobile/dist/audio.js';
import { decodeBase64, encodeBase64 } from '../../../clients/mobile/dist/base64.js';
import { Outgoing, QueueFullError } from '../../../clients/mobile/dist/outgoing.js';
import { RealtimeClient } from '../../../clients/mobile/dist/index.js';

const LIMITS = { maxQueuedAudioMs: 100, maxQueuedEvents: 2, maxUnackedBytes: 8 };

function outgoing(limits = {}) {
  const dropped = [];
  const queue = new Outgoing({ ...LIMITS, ...limits }, (what) => dropped.push(what));
  return { queue, dropped, drain: () => [...iterate(() => queue.next(true))] };
}

function* iterate(next) {
  for (let value = next(); value !== null; value = next()) yield value;
}

test('base64 is that of everybody else', () => {
  for (let length = 0; length < 70; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 89 + length) % 256);
    const text = Buffer.from(bytes).toString('base64');
    assert.equal(encodeBase64(bytes), text);
    assert.deepEqual(decodeBase64(text), bytes);
  }
  for (const bad of ['A', 'AA=', '====', 'AA?A', 'ÄAAA', 'A===']) assert.throws(() => decodeBase64(bad), RangeError, bad);
});

test('samples are little-endian and come back', () => {
  const samples = Int16Array.of(0, 1, -1, 32767, -32768);
  assert.deepEqual([...decodeBase64(encodeSamples(samples)).subarray(2, 6)], [1, 0, 255, 255]);
  assert.deepEqual(decodeSamples(encodeSamples(samples)), samples);
});

test('pieces of any length become chunks of one', () => {
  for (const chunkMs of [20, 40, 100]) {
    const chunker = new Chunker(chunkMs);
    const samples = Int16Array.from({ length: 24 * 500 }, (_, index) => index);
    const chunks = [];
    for (let at = 0, size = 1; at < samples.length; at += size, size = (size * 7) % 3001) {
      chunks.push(...chunker.push(samples.subarray(at, at + size)));
    }
    assert.equal(chunks.length, Math.floor(500 / chunkMs));
    for (const chunk of chunks) assert.equal(decodeSamples(chunk).length, chunkMs * 24);
    const rest = chunker.flush();
    if (rest) chunks.push(rest.audio);
    assert.deepEqual(Int16Array.from(chunks.flatMap((chunk) => [...decodeSamples(chunk)])), samples);
    assert.equal(chunker.flush(), null);
  }
  for (const chunkMs of [19, 101, NaN]) assert.throws(() => new Chunker(chunkMs), /20 to 100/);
  assert.throws(() => new RealtimeClient({ url: 'ws://h', chunkMs: 500 }), /chunkMs: 500/);
});

test('sound that finds no room pushes out the oldest sound, and never an event', () => {
  const { queue, dropped, drain } = outgoing({ maxUnackedBytes: 1000 });
  queue.push('first');
  for (let number = 0; number < 5; number += 1) queue.pushAudio(`sound ${number}`, 40);
  queue.push('last');
  assert.deepEqual(drain(), ['first', 'sound 3', 'sound 4', 'last']);
  assert.deepEqual(
    dropped.map(({ reason, events, audioMs }) => [reason, events, audioMs]),
    [['queue_full', 1, 40], ['queue_full', 1, 40], ['queue_full', 1, 40]],
  );
});

test('an event that finds no room is refused, and the limit named', () => {
  const { queue } = outgoing();
  queue.push('1');
  queue.push('2');
  assert.throws(() => queue.push('3'), (error) => error instanceof QueueFullError && /2 .*maxQueuedEvents/.test(error.message));
});

test('what has not arrived is bounded, and sent again in order', () => {
  const { queue, dropped, drain } = outgoing({ maxQueuedEvents: 9 });
  for (const text of ['aaaa', 'bbbb', 'cccc', 'dddd']) queue.push(text);
  assert.deepEqual(drain(), ['aaaa', 'bbbb', 'cccc'], 'more than 8 bytes are on their way');
  queue.ack(1);
  assert.deepEqual(drain(), ['dddd']);
  queue.resend(2);
  assert.deepEqual(drain(), ['cccc', 'dddd']);
  queue.ack(4);
  queue.push('eeee');
  queue.sentOurs('ping');
  queue.begin(['options']);
  assert.deepEqual(dropped, [{ reason: 'conversation_gone', events: 1, audioMs: 0 }]);
  assert.deepEqual(drain(), ['options']);
  queue.sentOurs('ping');
  queue.resend(1);
  assert.deepEqual(drain(), ['ping'], 'what is counted begins with the conversation');
});

test('questions of our own are no loss of the conversation that is gone', () => {
  const { queue, dropped, drain } = outgoing({ maxUnackedBytes: 1000 });
  queue.sentOurs('ping');
  queue.resend(0); // sent again, and cut again
  assert.deepEqual(drain(), ['ping']);
  queue.resend(0);
  queue.begin([]);
  assert.deepEqual(dropped, []);
  queue.pushAudio('sound', 40);
  drain();
  queue.sentOurs('ping');
  queue.begin([]);
  assert.deepEqual(dropped, [{ reason: 'conversation_gone', events: 1, audioMs: 40 }]);
});

test('what is sent again takes no room from what waits, and nothing pushes it out', () => {
  const { queue, dropped, drain } = outgoing({ maxUnackedBytes: 1000 });
  for (const text of ['a', 'b']) queue.push(text);
  for (const number of [1, 2]) queue.pushAudio(`sound ${number}`, 40);
  const sent = drain();
  assert.equal(sent.length, 4);
  queue.resend(0);
  for (const text of ['c', 'd']) queue.push(text);
  assert.throws(() => queue.push('e'), QueueFullError);
  for (const number of [3, 4, 5]) queue.pushAudio(`sound ${number}`, 40);
  assert.deepEqual(dropped, [{ reason: 'queue_full', events: 1, audioMs: 40 }]);
  assert.equal(queue.next(true), 'a');
  queue.resend(0); // and the line is cut again
  assert.deepEqual(drain(), [...sent, 'c', 'd', 'sound 4', 'sound 5']);
});
