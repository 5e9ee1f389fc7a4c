// The button that is held to talk, by pointer or keyboard. Knows gestures; what they do is its owner's.

const TAP_MS = 250; // no word is shorter, and the server takes no turn of less than 100

export class HoldButton {
  // pressed(): returns whether it may be held now; then released(), or tapped() if it was hardly held.
  constructor(button, { pressed, released, tapped }) {
    Object.assign(this, { button, pressed, released, tapped });
    button.addEventListener('pointerdown', (event) => {
      if (event.button) return; // not the main one
      button.setPointerCapture(event.pointerId);
      this.press();
    });
    for (const end of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(end, () => this.release());
    for (const [kind, act] of [['keydown', () => this.press()], ['keyup', () => this.release()]]) {
      button.addEventListener(kind, (event) => {
        if (event.key !== ' ' && event.key !== 'Enter') return;
        event.preventDefault();
        if (!event.repeat) act();
      });
    }
  }

  press() {
    if ('held' in this.button.dataset || !this.pressed()) return;
    this.pressedMs = performance.now();
    this.button.dataset.held = '';
    this.button.textContent = 'Listening …';
  }

  release() {
    if (!('held' in this.button.dataset)) return;
    delete this.button.dataset.held;
    this.button.textContent = 'Hold to talk';
    if (performance.now() - this.pressedMs < TAP_MS) this.tapped();
    else this.released();
  }
}
