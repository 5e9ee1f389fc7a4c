// A conversation over WebRTC: sound on tracks, events on the data channel `oai-events`.

const CONNECT_MS = 8000;

export class CallError extends Error {}

export class Call {
  name = 'WebRTC';

  // handlers: event(e), lost(reason), wavers(whether nothing passes just now)
  constructor({ key, model, microphone, camera, takesVideo, sound, context }, handlers) {
    Object.assign(this, { key, model, microphone, takesVideo, sound, context, handlers });
    this.camera = camera ?? null;
    this.closed = false;
  }

  // Resolves once events can pass; rejects with CallError in words for people.
  async connect() {
    const servers = await this.#ask('/v1/realtime/ice-servers', { headers: this.#headers() });
    const iceServers = servers.ok ? (await servers.json()).ice_servers : [];
    const peer = (this.peer = new RTCPeerConnection({ iceServers }));
    const track = this.microphone?.getAudioTracks()[0];
    if (track) peer.addTrack(track, this.microphone);
    else peer.addTransceiver('audio', { direction: 'recvonly' });
    if (this.takesVideo) {
      this.video = peer.addTransceiver('video', { direction: 'sendonly' });
      await this.setCamera(this.camera);
    }
    const arrived = new Promise((resolve) => {
      peer.ontrack = ({ track, streams }) => {
        if (track.kind === 'audio') resolve(streams[0] ?? new MediaStream([track]));
      };
    });
    this.channel = peer.createDataChannel('oai-events');
    this.channel.onmessage = ({ data }) => this.handlers.event(JSON.parse(data));
    const opened = new Promise((resolve, reject) => {
      this.channel.onopen = resolve;
      setTimeout(() => reject(new CallError('No path to the server was found for WebRTC.')), CONNECT_MS);
    });
    opened.catch(() => {});
    await peer.setLocalDescription(await peer.createOffer());
    await this.#gathered();
    const url = `/v1/realtime/calls?model=${encodeURIComponent(this.model)}`;
    const reply = await this.#ask(url, {
      method: 'POST',
      headers: { ...this.#headers(), 'Content-Type': 'application/sdp' },
      body: peer.localDescription.sdp,
    });
    if (!reply.ok) throw new CallError((await reply.json()).error.message);
    this.location = reply.headers.get('Location');
    await peer.setRemoteDescription({ type: 'answer', sdp: await reply.text() });
    await opened;
    this.channel.onclose = () => this.#lose('The server ended the conversation.');
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === 'failed') this.#lose('The network dropped.');
      else if (!this.closed) this.handlers.wavers(peer.connectionState === 'disconnected');
    };
    const stream = await arrived;
    this.sound.srcObject = stream;
    this.sound.play().catch(() => {});
    this.output = this.context.createMediaStreamSource(stream);
  }

  send(event) {
    if (this.channel?.readyState === 'open') this.channel.send(JSON.stringify(event));
  }

  silence() {
    this.send({ type: 'output_audio_buffer.clear' });
  }

  async setCamera(stream) {
    this.camera = stream;
    await this.video?.sender.replaceTrack(stream?.getVideoTracks()[0] ?? null);
  }

  close() {
    this.closed = true;
    if (this.location) {
      fetch(`${this.location}/hangup`, { method: 'POST', headers: this.#headers(), keepalive: true }).catch(() => {});
    }
    this.output?.disconnect();
    this.sound.srcObject = null;
    this.peer?.close();
  }

  #headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  async #ask(url, options) {
    try {
      return await fetch(url, { ...options, signal: AbortSignal.timeout(CONNECT_MS) });
    } catch (error) {
      throw error.name === 'TimeoutError' ? new CallError('The server did not answer.') : error;
    }
  }

  #lose(reason) {
    if (!this.closed) this.handlers.lost(reason);
  }

  // Candidates are few here; a slow STUN server is not waited for longer than a second.
  #gathered() {
    if (this.peer.iceGatheringState === 'complete') return null;
    return new Promise((resolve) => {
      setTimeout(resolve, 1000);
      this.peer.addEventListener('icegatheringstatechange', () => {
        if (this.peer.iceGatheringState === 'complete') resolve();
      });
    });
  }
}
