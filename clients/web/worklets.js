// The two ends of sound over a WebSocket, in the audio thread at 24 kHz.

const CHUNK = 960; // 40 ms

class Recorder extends AudioWorkletProcessor {
  chunk = new Float32Array(CHUNK);
  filled = 0;

  process([[channel]]) {
    for (const sample of channel ?? []) {
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
  queue = [];
  at = 0;
  played = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data === 'clear') {
        this.queue = [];
        this.at = 0;
      } else {
        this.queue.push(data);
      }
    };
  }

  process(_, [[out]]) {
    for (let i = 0; i < out.length && this.queue.length; i++) {
      out[i] = this.queue[0][this.at++];
      this.played += 1;
      if (this.at === this.queue[0].length) {
        this.queue.shift();
        this.at = 0;
      }
    }
    this.port.postMessage(this.played);
    return true;
  }
}

registerProcessor('recorder', Recorder);
registerProcessor('player', Player);
