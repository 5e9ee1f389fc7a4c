// The camera on the page: its button, its preview, and who sees it.

import * as media from './media.js';

export class Preview {
  // changed(stream or null): the camera was turned on or off; warn(words).
  constructor({ button, figure, video, note }, { changed, warn }) {
    Object.assign(this, { button, figure, video, note, changed, warn });
    this.stream = null;
    this.isBusy = false;
    button.addEventListener('click', () => {
      if (!this.isBusy) this.#toggle();
    });
  }

  // Says who sees the picture: `seen` is null while nothing is connected.
  tell(seen) {
    if (seen === null) this.note.textContent = 'The picture stays in your browser until you start.';
    else if (seen) this.note.textContent = 'The model sees this.';
    else this.note.textContent = 'This model takes no video: the picture stays in your browser.';
  }

  async #toggle() {
    this.#busy(true);
    try {
      if (this.stream) this.#turnOff();
      else await this.#turnOn();
    } catch (error) {
      this.warn(error.message);
    } finally {
      this.#busy(false);
    }
    this.video.srcObject = this.stream;
    this.figure.hidden = !this.stream;
    this.button.setAttribute('aria-pressed', String(this.stream !== null));
    await this.changed(this.stream);
  }

  // Not `disabled`: a button that is loses the focus.
  #busy(isBusy) {
    this.isBusy = isBusy;
    this.button.setAttribute('aria-disabled', String(isBusy));
  }

  #turnOff() {
    media.stop(this.stream);
    this.stream = null;
  }

  async #turnOn() {
    this.stream = await media.camera();
    media.watch(this.stream, 'camera', this.warn);
  }
}
