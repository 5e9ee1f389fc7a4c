// The phone's microphone and loudspeaker at the client's rate, and how much of a reply was heard.

import { AudioContext, AudioManager, AudioRecorder, type AudioBufferQueueSourceNode } from 'react-native-audio-api';
import { RATE_HZ } from 'omnilive-mobile';

const CAPTURE_SAMPLES = (RATE_HZ * 40) / 1000;

export class Microphone {
  private readonly recorder = new AudioRecorder();

  // `heard` gets samples as they come. Throws an Error in words for people.
  async start(heard: (samples: Int16Array) => void): Promise<void> {
    AudioManager.setAudioSessionOptions({ iosCategory: 'playAndRecord', iosMode: 'voiceChat', iosOptions: ['defaultToSpeaker'] });
    if ((await AudioManager.requestRecordingPermissions()) !== 'Granted') {
      throw new Error('The microphone is blocked. Allow it in the settings of this phone, then try again.');
    }
    await AudioManager.setAudioSessionActivity(true);
    const shape = { sampleRate: RATE_HZ, bufferLength: CAPTURE_SAMPLES, channelCount: 1 };
    this.recorder.onAudioReady(shape, ({ buffer }) => {
      heard(Int16Array.from(buffer.getChannelData(0), (sample) => Math.max(-1, Math.min(1, sample)) * 32767));
    });
    await this.recorder.start();
  }

  async stop(): Promise<void> {
    this.recorder.clearOnAudioReady();
    await this.recorder.stop();
  }
}

export class Loudspeaker {
  private readonly context = new AudioContext({ sampleRate: RATE_HZ });
  private queue: AudioBufferQueueSourceNode | null = null;
  private itemId: string | null = null;
  private receivedMs = 0;
  private endsAtS = 0; // when all that was received will have been played

  play(itemId: string, samples: Int16Array): void {
    if (!samples.length) return;
    if (itemId !== this.itemId) {
      this.itemId = itemId;
      this.receivedMs = 0;
    }
    const buffer = this.context.createBuffer(1, samples.length, RATE_HZ);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
    if (!this.queue) {
      this.queue = this.context.createBufferQueueSource();
      this.queue.connect(this.context.destination);
      this.queue.start();
    }
    this.queue.enqueueBuffer(buffer);
    this.receivedMs += (samples.length * 1000) / RATE_HZ;
    this.endsAtS = Math.max(this.endsAtS, this.context.currentTime) + samples.length / RATE_HZ;
  }

  // Falls silent; returns what was being said and how much of it was heard, if it was not over.
  stop(): { itemId: string; playedMs: number } | null {
    const leftMs = Math.max(0, (this.endsAtS - this.context.currentTime) * 1000);
    this.queue?.clearBuffers();
    this.queue?.stop();
    this.queue = null;
    this.endsAtS = 0;
    if (!this.itemId || leftMs === 0) return null;
    return { itemId: this.itemId, playedMs: Math.max(0, this.receivedMs - leftMs) };
  }

  async close(): Promise<void> {
    this.stop();
    await this.context.close();
  }
}
