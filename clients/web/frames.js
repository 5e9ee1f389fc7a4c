// A camera's pictures as events, for a line that carries no video track. Knows the camera's stream
// and the event; whether the model sees and how full the line is are its owner's to say.

const INTERVAL_MS = 500; // the server takes two a second while somebody speaks
const MAX_SIDE = 640;
const QUALITY = 0.7;

export class Frames {
  // send(event); ready(): whether the line can take one more picture now.
  constructor(send, ready) {
    Object.assign(this, { send, ready });
    this.video = document.createElement('video');
    this.video.muted = this.video.playsInline = true;
    this.canvas = document.createElement('canvas');
    this.timer = null;
  }

  // Sends what this stream shows from now on; null stops.
  watch(stream) {
    this.stop();
    if (!stream) return;
    this.video.srcObject = stream;
    this.video.play().catch(() => {});
    this.timer = setInterval(() => this.#take(), INTERVAL_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.video.srcObject = null;
  }

  #take() {
    const { videoWidth: columns, videoHeight: rows } = this.video;
    if (!columns || !this.ready()) return; // not there yet; or the next one will be newer
    const scale = Math.min(1, MAX_SIDE / Math.max(columns, rows));
    this.canvas.width = Math.round(columns * scale);
    this.canvas.height = Math.round(rows * scale);
    this.canvas.getContext('2d').drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
    const [, image] = this.canvas.toDataURL('image/jpeg', QUALITY).split(',');
    this.send({ type: 'input_image_buffer.append', image });
  }
}
