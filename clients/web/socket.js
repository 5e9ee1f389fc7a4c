// A conversation over a WebSocket, for where WebRTC finds no path: sound as base64 in events. The page
// plays it, knows what was heard, and tells of it in the events with which a server tells over WebRTC.

import { CallError } from './call.js';
import { Frames } from './frames.js';

const RATE = 24000;
const CONNECT_MS = 8000;
const MAX_WAITING_BYTES = 2 ** 18; // of what the network has not taken: sound goes before pictures

export class Socket {
  name = 'WebSocket';

  // handlers: event(e), lost(reason)
  constructor({ key, model, microphone, camera, takesVideo, context }, handlers) {
    Object.assign(this, { key, model, microphone, camera, context, handlers });
    this.closed = false;
    const ready = () => this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < MAX_WAITING_BYTES;
    this.frames = takesVideo ? new Frames((event) => this.send(event), ready) : null;
    this.playing = null; // {itemId, startedAt, received, whole}: samples of the player when the item began
    this.played = 0;
    this.responseId = null; // of the latest response
    this.silenced = null; // one of which nothing more is played: what is on its way still comes
  }

  async connect() {
    await this.context.audioWorklet.addModule('/web/worklets.js');
    this.player = new AudioWorkletNode(this.context, 'player', { outputChannelCount: [1] });
    this.player.port.onmessage = ({ data }) => this.#hasPlayed(data);
    this.player.connect(this.context.destination);
    this.output = this.player;
    await this.#open();
    if (this.microphone) {
      this.source = this.context.createMediaStreamSource(this.microphone);
      this.recorder = new AudioWorkletNode(this.context, 'recorder');
      this.recorder.port.onmessage = ({ data }) => this.#hear(data);
      this.source.connect(this.recorder);
    }
    await this.setCamera(this.camera);
  }

  send(event) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  silence() {
    this.player.port.postMessage('clear');
    this.silenced = this.responseId;
    if (!this.playing) return;
    const { itemId, startedAt, received, whole } = this.playing;
    const heard = Math.min(received, Math.max(0, this.played - startedAt));
    this.playing = null;
    this.handlers.event({ type: 'output_audio_buffer.cleared' });
    if (heard < received || !whole) {
      const audio_end_ms = Math.floor((heard * 1000) / RATE);
      this.send({ type: 'conversation.item.truncate', item_id: itemId, content_index: 0, audio_end_ms });
    }
  }

  async setCamera(stream) {
    this.frames?.watch(stream);
  }

  close() {
    this.closed = true;
    this.frames?.stop();
    this.recorder?.disconnect();
    this.source?.disconnect();
    this.player?.disconnect();
    this.socket?.close();
  }

  #open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const url = `${scheme}://${location.host}/v1/realtime?model=${encodeURIComponent(this.model)}`;
    const protocols = ['realtime'];
    if (this.key) protocols.push(`openai-insecure-api-key.${this.key}`);
    const socket = (this.socket = new WebSocket(url, protocols));
    return new Promise((resolve, reject) => {
      let isOpen = false;
      setTimeout(() => reject(new CallError('The server did not answer.')), CONNECT_MS);
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (!isOpen && event.type === 'error') reject(new CallError(event.error.message));
        isOpen ||= event.type === 'session.created';
        if (isOpen) resolve();
        this.#take(event);
      };
      socket.onclose = () => {
        reject(new CallError('The server closed the connection.'));
        if (isOpen && !this.closed) this.handlers.lost('The network dropped, or the server ended the conversation.');
      };
    });
  }

  #take(event) {
    if (event.type === 'response.created') this.responseId = event.response.id;
    if (event.type === 'response.output_audio.delta' && event.response_id !== this.silenced) {
      const samples = decode(event.delta);
      if (this.playing?.itemId !== event.item_id) {
        const waiting = this.playing ? this.playing.startedAt + this.playing.received : 0;
        this.playing = { itemId: event.item_id, startedAt: Math.max(waiting, this.played), received: 0, whole: false };
        this.handlers.event({ type: 'output_audio_buffer.started' });
      }
      this.playing.received += samples.length;
      this.player.port.postMessage(samples, [samples.buffer]);
    }
    if (event.type === 'response.done' && this.playing) this.playing.whole = true;
    if (event.type === 'input_audio_buffer.speech_started') this.silence();
    this.handlers.event(event);
    this.#hasPlayed(this.played); // of what is whole only now, all may have been played
  }

  #hasPlayed(samples) {
    this.played = samples;
    if (!this.playing?.whole || samples < this.playing.startedAt + this.playing.received) return;
    this.playing = null;
    this.handlers.event({ type: 'output_audio_buffer.stopped' });
  }

  #hear(samples) {
    // A muted track is silence; where turns are by hand the server would collect it all.
    if (!this.microphone.getAudioTracks()[0]?.enabled) return;
    this.send({ type: 'input_audio_buffer.append', audio: encode(samples) });
  }
}

function decode(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (sample) => sample / 32768);
}

function encode(samples) {
  const pcm = Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
  return btoa(String.fromCharCode(...new Uint8Array(pcm.buffer)));
}
