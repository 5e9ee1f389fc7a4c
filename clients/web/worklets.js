// The two ends of sound over a WebSocket, in the audio thread. The line has 24 kHz; so has the thread
// where the browser brings a microphone to that rate, and else the device's own (see `media.js`).
// One file: not every browser imports in this thread.

const RATE = 24000;
const CHUNK = 960; // 40 ms
const TELL_EVERY = 480; // 20 ms
const LOBES = 16; // of the kernel, on either side of a sample
const PASSED = 0.92; // of the band of the lower rate; what lies above is faded out

// From one rate to another, chunk by chunk as if they were one, `reach` samples late.
class Resampler {
  constructor(from, to) {
    const common = divisor(from, to);
    this.step = from / common; // from one sample to the next, in parts of a sample that comes in
    this.parts = to / common;
    const width = Math.max(1, from / to) / PASSED; // of a lobe, in samples that come in
    this.reach = Math.ceil(LOBES * width);
    this.kernels = Array.from({ length: this.parts }, (_, part) => kernel(part / this.parts, width, this.reach));
    this.clear();
  }

  clear() {
    this.rest = new Float32Array(this.reach - 1); // what the next sample still needs: first, silence
    this.place = 0; // of the next sample, in parts
  }

  take(samples) {
    if (this.step === this.parts) return samples;
    const input = new Float32Array(this.rest.length + samples.length);
    input.set(this.rest);
    input.set(samples, this.rest.length);
    const output = [];
    let first = Math.floor(this.place / this.parts);
    while (first + 2 * this.reach <= input.length) {
      const weights = this.kernels[this.place % this.parts];
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * input[first + i];
      output.push(sum);
      this.place += this.step;
      first = Math.floor(this.place / this.parts);
    }
    this.rest = input.slice(first);
    this.place %= this.parts;
    return Float32Array.from(output);
  }
}

// A windowed sinc for a sample that lies `part` behind the one in the middle; its weights sum to 1.
function kernel(part, width, reach) {
  const weights = Float32Array.from({ length: 2 * reach }, (_, i) => {
    const away = i - (reach - 1) - part;
    const x = (Math.PI * away) / width;
    return (x ? Math.sin(x) / x : 1) * (1 + Math.cos((Math.PI * away) / reach));
  });
  const sum = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / sum);
}

const divisor = (one, other) => (other ? divisor(other, one % other) : one);

class Recorder extends AudioWorkletProcessor {
  resampler = new Resampler(sampleRate, RATE);
  chunk = new Float32Array(CHUNK);
  filled = 0;

  process([[channel]]) {
    for (const sample of this.resampler.take(channel ?? [])) {
      this.chunk[this.filled++] = sample;
      if (this.filled === CHUNK) {
        this.port.postMessage(this.chunk);
        this.chunk = new Float32Array(CHUNK);
        this.filled = 0;
      }
    }
    return true;
  }
}

class Player extends AudioWorkletProcessor {
  resampler = new Resampler(RATE, sampleRate);
  queue = []; // {samples, begins, ends}: what of the line they are
  at = 0; // in the first of them
  taken = 0; // samples of the line
  told = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data === 'clear') this.#clear();
      else this.#take(data);
    };
  }

  process(_, [[out]]) {
    for (let i = 0; i < out.length && this.queue.length; i++) {
      out[i] = this.queue[0].samples[this.at++];
      if (this.at === this.queue[0].samples.length) {
        this.queue.shift();
        this.at = 0;
      }
    }
    this.#tell();
    return true;
  }

  get #played() {
    if (!this.queue.length) return this.taken;
    const { samples, begins, ends } = this.queue[0];
    return begins + Math.floor(((ends - begins) * this.at) / samples.length);
  }

  #take(data) {
    const samples = this.resampler.take(data);
    const begins = this.taken;
    this.taken += data.length;
    if (samples.length) this.queue.push({ samples, begins, ends: this.taken });
  }

  #clear() {
    this.taken = this.#played;
    this.queue = [];
    this.at = 0;
    this.resampler.clear();
  }

  // When it is over, at once; while it goes on, now and then.
  #tell() {
    const played = this.#played;
    if (played === this.told || (this.queue.length && played < this.told + TELL_EVERY)) return;
    this.told = played;
    this.port.postMessage(played);
  }
}

registerProcessor('recorder', Recorder);
registerProcessor('player', Player);
