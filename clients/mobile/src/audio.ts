// Sound on its way to the server: samples of any length in, chunks of one length out.
// Knows 24 kHz mono, signed 16 bit. Knows no socket.

import { decodeBase64, encodeBase64 } from './base64.js';

export const RATE_HZ = 24_000;
export const MIN_CHUNK_MS = 20;
export const MAX_CHUNK_MS = 100;

export class Chunker {
  private readonly chunk: Int16Array;
  private filled = 0;

  constructor(readonly chunkMs: number) {
    if (!(chunkMs >= MIN_CHUNK_MS && chunkMs <= MAX_CHUNK_MS)) {
      throw new RangeError(`chunkMs: ${chunkMs}; expected ${MIN_CHUNK_MS} to ${MAX_CHUNK_MS}`);
    }
    this.chunk = new Int16Array(Math.round((RATE_HZ * chunkMs) / 1000));
  }

  // Returns the chunks that are full now, as base64.
  push(samples: Int16Array): string[] {
    const full: string[] = [];
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + this.chunk.length - this.filled);
      this.chunk.set(piece, this.filled);
      this.filled += piece.length;
      at += piece.length;
      if (this.filled === this.chunk.length) full.push(this.take());
    }
    return full;
  }

  // Returns what is left and how long it is, and begins anew; null if there is nothing.
  flush(): { audio: string; ms: number } | null {
    if (!this.filled) return null;
    const ms = (this.filled * 1000) / RATE_HZ;
    return { audio: this.take(), ms };
  }

  clear(): void {
    this.filled = 0;
  }

  private take(): string {
    const audio = encodeSamples(this.chunk.subarray(0, this.filled));
    this.filled = 0;
    return audio;
  }
}

// Samples as the wire has them, little-endian whatever the machine is.
export function encodeSamples(samples: Int16Array): string {
  const bytes = new Uint8Array(samples.length * 2);
  const view = new DataView(bytes.buffer);
  samples.forEach((sample, index) => view.setInt16(index * 2, sample, true));
  return encodeBase64(bytes);
}

export function decodeSamples(audio: string): Int16Array {
  const bytes = decodeBase64(audio);
  const view = new DataView(bytes.buffer);
  return Int16Array.from({ length: bytes.length >> 1 }, (_, index) => view.getInt16(index * 2, true));
}
