// Whether there is an answer that can be interrupted, from the events of the Realtime API: one that
// is made, that is to be heard yet, or that is played. Knows events; knows no page and no sound.

export class Answering {
  constructor() {
    this.forget();
  }

  // Also of one whose events are still to come: it was interrupted.
  forget() {
    this.made = false; // the server writes it
    this.due = false; // its sound has not begun
    this.played = false;
  }

  get now() {
    return this.made || this.due || this.played;
  }

  take(event) {
    switch (event.type) {
      case 'response.created':
        this.made = this.due = true;
        break;
      case 'response.done':
        this.made = false;
        this.due &&= event.response.status === 'completed' && speaks(event.response);
        break;
      case 'output_audio_buffer.started':
        this.due = false;
        this.played = true;
        break;
      case 'output_audio_buffer.stopped':
      case 'output_audio_buffer.cleared':
        this.due = this.played = false;
        break;
    }
  }
}

function speaks(response) {
  return response.output.some((item) => item.content?.some((part) => part.type === 'output_audio'));
}
