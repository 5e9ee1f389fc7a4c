// What was said, from the events of the Realtime API. Knows events; knows no page and no sound.

export class Conversation {
  // changed(caption): a caption is new or other than it was. {id, role, text, done, cut}
  constructor(changed) {
    this.changed = changed;
    this.captions = new Map();
  }

  // Takes one server event; returns events to send back.
  take(event) {
    switch (event.type) {
      case 'conversation.item.added':
        if (event.item.type === 'message' && event.item.role !== 'system') this.#add(event.item);
        break;
      case 'conversation.item.input_audio_transcription.delta':
        this.#more(event.item_id, event.delta);
        break;
      case 'conversation.item.input_audio_transcription.completed':
        this.#set(event.item_id, { text: event.transcript.trim() || '(nothing understood)', done: true });
        break;
      case 'conversation.item.input_audio_transcription.failed':
        this.#set(event.item_id, { text: '(not transcribed)', done: true });
        break;
      case 'response.output_audio_transcript.delta':
      case 'response.output_text.delta':
        this.#more(event.item_id, event.delta);
        break;
      case 'response.output_item.done':
        this.#set(event.item.id, { done: true, cut: event.item.status === 'incomplete' });
        break;
      case 'conversation.item.truncated':
        this.#set(event.item_id, { cut: true });
        return [{ type: 'conversation.item.retrieve', item_id: event.item_id }];
      case 'conversation.item.retrieved':
        this.#set(event.item.id, { text: textOf(event.item) });
        break;
    }
    return [];
  }

  #add(item) {
    const text = textOf(item);
    const spoken = item.content.some((part) => part.type === 'input_audio');
    const caption = { id: item.id, role: item.role, text, done: item.role === 'user' && !spoken, cut: false };
    this.captions.set(item.id, caption);
    this.changed(caption);
  }

  #more(id, delta) {
    const caption = this.captions.get(id);
    if (caption) this.#set(id, { text: caption.text + delta });
  }

  #set(id, fields) {
    const caption = this.captions.get(id);
    if (!caption) return;
    Object.assign(caption, fields);
    this.changed(caption);
  }
}

function textOf(item) {
  return item.content.map((part) => part.text ?? part.transcript ?? '').join('').trim();
}
