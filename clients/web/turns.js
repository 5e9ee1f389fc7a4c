// The table of the latest turns, newest first: how long each took, stage by stage.

const MAX_SHOWN = 5;

export class TurnTable {
  // body: <tbody>, with words in it until the first turn.
  constructor(body) {
    this.body = body;
  }

  // turn: see `TurnClock`.
  show(turn) {
    if (turn.number === 1) this.body.replaceChildren();
    const row = this.body.insertRow(0);
    const figures = [turn.number, turn.total, turn.turnEnd, turn.words, turn.sound];
    for (const figure of figures) row.insertCell().textContent = String(Math.round(figure));
    while (this.body.rows.length > MAX_SHOWN) this.body.lastElementChild.remove();
  }
}
