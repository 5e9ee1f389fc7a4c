// The button that is held to talk, by pointer or keyboard. Knows gestures; what they do is its owner's.

export class HoldButton {
  // pressed(): returns whether it may be held now; released().
  constructor(button, { pressed, released }) {
    Object.assign(this, { button, pressed, released });
    button.addEventListener('pointerdown', (event) => {
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
    this.button.dataset.held = '';
    this.button.textContent = 'Listening …';
  }

  release() {
    if (!('held' in this.button.dataset)) return;
    delete this.button.dataset.held;
    this.button.textContent = 'Hold to talk';
    this.released();
  }
}
