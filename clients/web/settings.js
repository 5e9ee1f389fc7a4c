// What is chosen in the settings. A conversation keeps what stood there when it began.

const value = (id) => document.getElementById(id).value;

// models: see `Models`, and loaded.
export function chosen(models) {
  return {
    key: value('key'),
    model: value('model'),
    takesVideo: models.seesVideo,
    transport: value('transport'),
    push: value('mode') === 'push',
    voice: value('voice'),
    instructions: value('instructions').trim(),
  };
}

// The session that they ask the server for.
export function session({ push, voice, instructions }) {
  const input = { transcription: { model: 'omni' } };
  if (push) input.turn_detection = null;
  const options = { type: 'realtime', audio: { input } };
  if (voice) options.audio.output = { voice };
  if (instructions) options.instructions = instructions;
  return options;
}
