// One conversation of the kit's own session, the same over every transport. It only uses the kit as
// its users do, and returns what it saw; what that must be is the caller's to say.

export const RESULT = '18 degrees';
const SHORT = 24;
const LONG = 1500; // not over before it is spoken into

// kit: the module; voice: { speak(), hush(), heard() }, { bargeIn() } where a reply can be spoken into,
// and the events by which the transport shows that a reply is heard and that it is cut.
export async function converse({ kit, transport, model, voice }) {
  const events = []; // as the server sent them
  const errors = [];
  const histories = [];
  const called = [];
  let wake = () => {};

  const weather = kit.tool({
    name: 'weather',
    description: 'Says the weather.',
    parameters: { type: 'object', properties: {}, required: [], additionalProperties: true },
    strict: false,
    execute: async (input) => {
      called.push(input);
      return RESULT;
    },
  });
  const agent = new kit.RealtimeAgent({ name: 'guide', instructions: 'Be brief.', tools: [weather] });
  const session = new kit.RealtimeSession(agent, {
    transport,
    model,
    // A random model never stops: the kit passes this on to the server as it is.
    config: { audio: { input: { turnDetection: { type: 'server_vad' } } }, providerData: { max_output_tokens: SHORT } },
  });
  session.on('transport_event', (event) => {
    events.push(event);
    wake();
  });
  session.on('error', ({ error }) => errors.push(error));
  session.on('history_updated', (history) => histories.push(JSON.parse(JSON.stringify(history))));
  let interruptions = 0;
  session.on('audio_interrupted', () => (interruptions += 1));

  // The first event from `begin` on that is of this type (and `fits`), and where it stands.
  async function until(type, begin, fits = () => true) {
    for (let at = begin; ; at += 1) {
      while (at >= events.length) await new Promise((resolve) => (wake = resolve));
      if (events[at].type === type && fits(events[at])) return { event: events[at], at };
    }
  }

  const ended = ({ response }) => response.status !== 'cancelled';

  await session.connect({ apiKey: 'none' });
  const { event: updated } = await until('session.updated', 0);

  const spoken = events.length;
  voice.speak();
  const answer = await until('response.done', spoken, ended);
  await until('conversation.item.input_audio_transcription.completed', spoken);
  await voice.hush(until, answer.at);
  const afterSpoken = session.history;

  // A long reply, broken off: by voice where the voice is ours to time, else by the kit's own word.
  const long = events.length;
  session.transport.sendMessage('Go on.', {}, { triggerResponse: false });
  session.transport.requestResponse({ max_output_tokens: LONG });
  const { event: broken } = await until('response.created', long);
  const sound = await until(voice.soundEvent, long);
  if (voice.bargeIn) {
    voice.bargeIn();
    await until('input_audio_buffer.speech_started', sound.at);
  } else {
    session.interrupt();
  }
  await until(voice.cutEvent, sound.at);
  const { at: brokenOff } = await until('response.done', long, ({ response }) => response.id === broken.response.id);
  if (voice.bargeIn) {
    const next = await until('response.done', brokenOff + 1, ended);
    await voice.hush(until, next.at);
  }
  // The kit asks for what is left of the item, and shows that.
  await until('conversation.item.retrieved', sound.at);
  const afterBargeIn = session.history;

  const tool = events.length;
  session.transport.sendMessage('How is the weather?', {}, { triggerResponse: false });
  session.transport.requestResponse({ tool_choice: { type: 'function', name: 'weather' }, max_output_tokens: 60 });
  const calling = await until('response.done', tool);
  const using = await until('response.done', calling.at + 1, ended);
  const afterTool = session.history;

  const heard = await voice.heard();
  session.close();
  return {
    session: updated.session,
    kinds: {
      spoken: types(events.slice(spoken, long)),
      bargeIn: types(events.slice(long, tool)),
      tool: types(events.slice(tool)),
    },
    responses: {
      spoken: answer.event.response,
      broken: events[brokenOff].response,
      calling: calling.event.response,
      using: using.event.response,
    },
    history: { spoken: afterSpoken, bargeIn: afterBargeIn, tool: afterTool },
    histories: histories.length,
    interruptions,
    called,
    errors: errors.map((error) => error.error ?? { message: String(error) }),
    heard,
  };
}

function types(events) {
  return events.map((event) => event.type);
}
