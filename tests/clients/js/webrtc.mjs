// The kit over WebRTC in Node. Arguments: the server's address, its model, a question (s16 LE, 48 kHz).

import { readFileSync } from 'node:fs';
import * as kit from '@openai/agents-realtime';
import wrtc from '@roamhq/wrtc';
import { converse } from './scenario.mjs';

const { MediaStream, RTCPeerConnection, nonstandard } = wrtc;
Object.assign(globalThis, { MediaStream, RTCPeerConnection });

const [url, model, questionFile] = process.argv.slice(2);
const RATE = 48_000;
const FRAME = RATE / 100; // the library takes 10 ms at a time
const file = readFileSync(questionFile);
const question = new Int16Array(file.buffer, file.byteOffset, file.length / 2);

// A microphone: silence, and in between the question, at the pace of speech.
const source = new nonstandard.RTCAudioSource();
let waiting = new Int16Array(0);
let frames = 0;
const begunMs = performance.now();
const pace = setInterval(() => {
  for (; frames * 10 <= performance.now() - begunMs; frames += 1) {
    const samples = new Int16Array(FRAME);
    samples.set(waiting.subarray(0, FRAME));
    waiting = waiting.subarray(FRAME);
    source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: FRAME });
  }
}, 10);

// A loudspeaker that only listens.
let loudFrames = 0;
let sink = null;
const audioElement = {
  set srcObject(stream) {
    sink = new nonstandard.RTCAudioSink(stream.getAudioTracks()[0]);
    sink.ondata = ({ samples }) => (loudFrames += samples.some((sample) => Math.abs(sample) > 100) ? 1 : 0);
  },
};

const transport = new kit.OpenAIRealtimeWebRTC({
  baseUrl: `${url}/calls?model=${encodeURIComponent(model)}`,
  mediaStream: new MediaStream([source.createTrack()]),
  audioElement,
});
const voice = {
  soundEvent: 'output_audio_buffer.started',
  cutEvent: 'output_audio_buffer.cleared',
  speak() {
    waiting = question;
  },
  bargeIn() {
    this.speak();
  },
  hush: (until, at) => until('output_audio_buffer.stopped', at),
  heard: () => ({ loudFrames, callId: transport.callId }),
};

const saw = await converse({ kit, transport, model, voice });
clearInterval(pace);
sink?.stop();
console.log(JSON.stringify(saw));
process.exit(0); // the library keeps threads of its own
