// How long a turn took, stage by stage, from the end of the user's speech. Knows moments in
// milliseconds of one steady clock; what they are told by is the page's business.

export class TurnClock {
  // done(turn): {number, total, turnEnd, words, sound}, in ms; null where a moment never came.
  constructor(done) {
    this.done = done;
    this.number = 0;
    this.turn = null;
  }

  speechEnded(atMs) {
    this.turn = { ended: atMs, responded: null, words: null };
  }

  responded(atMs) {
    if (this.turn) this.turn.responded ??= atMs;
  }

  words(atMs) {
    if (this.turn) this.turn.words ??= atMs;
  }

  sound(atMs) {
    const turn = this.turn;
    if (!turn || turn.responded === null) return;
    this.turn = null;
    this.number += 1;
    const words = turn.words ?? atMs;
    this.done({
      number: this.number,
      total: atMs - turn.ended,
      turnEnd: turn.responded - turn.ended,
      words: words - turn.responded,
      sound: atMs - words,
    });
  }
}
