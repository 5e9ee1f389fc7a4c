// OpenAI's own SDK in Node: a spoken turn, its words, and an answer that is cancelled. It insists on TLS.
// Arguments: the server's address (https), its model, a question (s16 LE, 24 kHz).

import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

const [baseURL, model, questionFile] = process.argv.slice(2);
const STEP = 4800; // bytes of 100 ms
const sound = Buffer.concat([readFileSync(questionFile), Buffer.alloc(48_000)]);

const client = new OpenAI({ baseURL, apiKey: 'none' });
const options = { rejectUnauthorized: false }; // the certificate is the test's own
const line = new OpenAIRealtimeWS({ model, options }, client);
const kinds = [];
const errors = [];
line.on('event', ({ type }) => kinds.push(type));
line.on('error', ({ message }) => errors.push(message));
const next = (type) => new Promise((resolve) => line.once(type, resolve));

const { session } = await next('session.created');
const updated = next('session.updated');
line.send({
  type: 'session.update',
  session: { type: 'realtime', max_output_tokens: 8, audio: { input: { transcription: { model: 'whisper-1' } } } },
});
await updated;

const answered = next('response.done');
const heard = next('conversation.item.input_audio_transcription.completed');
for (let at = 0; at < sound.length; at += STEP) {
  line.send({ type: 'input_audio_buffer.append', audio: sound.subarray(at, at + STEP).toString('base64') });
}
const [{ response: spoken }, { transcript }] = await Promise.all([answered, heard]);

const cancelled = next('response.done');
const begun = next('response.output_audio_transcript.delta');
line.send({ type: 'response.create', response: { max_output_tokens: 1500 } });
await begun;
line.send({ type: 'response.cancel' });
const { response: broken } = await cancelled;
line.close();
console.log(JSON.stringify({ session, spoken, broken, transcript, kinds, errors }));
