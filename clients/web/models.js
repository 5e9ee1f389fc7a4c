// The models that the server has, and the choice of one and of its voice.

import { CallError } from './call.js';

const LOAD_MS = 8000;

export class Models {
  constructor(modelSelect, voiceSelect) {
    Object.assign(this, { modelSelect, voiceSelect });
    this.all = [];
    modelSelect.addEventListener('change', () => this.#showVoices());
  }

  // Asks the server; rejects with CallError in words for people if it refuses.
  async load(key) {
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    const reply = await fetch('/v1/models', { headers, signal: AbortSignal.timeout(LOAD_MS) });
    const body = await reply.json();
    if (!reply.ok) throw new CallError(body.error.message);
    this.all = body.data;
    fill(this.modelSelect, this.all.map((model) => model.id));
    this.#showVoices();
  }

  get chosen() {
    return this.all.find((model) => model.id === this.modelSelect.value);
  }

  get seesVideo() {
    return this.chosen?.inputs.includes('video') ?? false;
  }

  #showVoices() {
    fill(this.voiceSelect, this.chosen?.voices ?? []);
  }
}

function fill(select, values) {
  const kept = select.value;
  select.replaceChildren(...values.map((value) => new Option(value)));
  if (values.includes(kept)) select.value = kept;
}
