// How loud a stream is, 0 to 1, and when it was last loud.

const LOUD = 0.01;

export class Meter {
  constructor(context, node) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 512;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.lastLoudMs = null;
    node.connect(this.analyser);
  }

  // Returns the level now; call it often.
  read() {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    const level = Math.sqrt(sum / this.samples.length);
    if (level > LOUD) this.lastLoudMs = performance.now();
    return level;
  }

  get isLoud() {
    return this.lastLoudMs !== null && performance.now() - this.lastLoudMs < 60;
  }
}

// The width of a level on the page: speech lies between -60 and 0 dB.
export function shown(level) {
  return Math.min(1, Math.max(0, (20 * Math.log10(level + 1e-6) + 60) / 60));
}
