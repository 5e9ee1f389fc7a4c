// Captions of both sides as a list, and what a screen reader is told of them.

const NEAR = 16; // pixels: who is that near to the end follows it; who scrolled up reads

export class Captions {
  // list: <ol>; empty: the words that stand there before the first; announcer: a live region.
  constructor(list, empty, announcer) {
    Object.assign(this, { list, empty, announcer });
  }

  // caption: see `Conversation`. A new one gets a place, a known one its new words.
  show(caption) {
    const { scrollHeight, clientHeight, scrollTop } = this.list;
    const wasAtEnd = scrollHeight - clientHeight - scrollTop < NEAR;
    const id = `caption-${caption.id}`;
    const entry = document.getElementById(id) ?? this.#add(id, caption.role);
    entry.lastChild.textContent = caption.text || '…';
    if (caption.cut) entry.dataset.cut = '';
    if (wasAtEnd) this.list.scrollTop = this.list.scrollHeight;
    // A screen reader is told once, when the words are complete.
    if (caption.done && !entry.dataset.told && caption.text) {
      entry.dataset.told = 'yes';
      this.announcer.textContent = `${name(caption.role)}: ${caption.text}`;
    }
  }

  #add(id, role) {
    const entry = document.createElement('li');
    entry.id = id;
    entry.dataset.role = role;
    const who = document.createElement('span');
    who.className = 'who';
    who.textContent = name(role);
    entry.append(who, document.createElement('span'));
    this.list.append(entry);
    this.empty.hidden = true;
    return entry;
  }
}

const name = (role) => (role === 'user' ? 'You' : 'Reply');
