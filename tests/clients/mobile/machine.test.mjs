// The client's states, one socket at a time: what each listener, silence and refusal does to them.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { ConnectionError, QueueFullError, RealtimeClient, decodeSamples } from '../../../clients/mobile/dist/index.js';

const OPTIONS = { url: 'ws://h', pingMs: 1e9, deadMs: 8_000, connectMs: 10_000, retryMs: 250, maxRetryMs: 8_000 };
const SESSION = { id: 'sess_1', object: 'realtime.session', type: 'realtime', model: 'tiny' };

let sockets;

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closed = null;

  constructor(url, protocols) {
    this.query = new URL(url).searchParams;
    this.protocols = protocols;
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closed = code;
    this.readyState = 3;
  }

  // What the other side does:

  say(type, fields = {}) {
    this.readyState = 1;
    this.onmessage({ data: JSON.stringify({ type, event_id: 'event_1', ...fields }) });
  }

  begin(token = 'TOKEN', x_seq = 1) {
    const offer = token === null ? {} : { x_seq, x_resume: { token, window_s: 30 } };
    this.say('session.created', { session: SESSION, ...offer });
  }

  cut() {
    this.readyState = 3;
    this.onclose({ code: 1006, reason: '' });
  }

  get kinds() {
    return this.sent.map(({ type }) => type).filter((type) => type !== 'x_ping');
  }
}

const newest = () => sockets.at(-1);

function make(options = {}) {
  const client = new RealtimeClient({ WebSocket: FakeSocket, ...OPTIONS, ...options });
  const seen = { states: [], reasons: [], dropped: [], events: [], ended: null };
  client.on('state', ({ state, reason }) => {
    seen.states.push(state);
    seen.reasons.push(reason);
  });
  client.on('dropped', (what) => seen.dropped.push(what));
  client.on('event', (event) => seen.events.push(event.type));
  return { client, seen };
}

// A client whose first conversation has begun.
function opened(options = {}, token = 'TOKEN') {
  const made = make(options);
  made.client.connect().then(
    () => (made.seen.ended = 'opened'),
    (error) => (made.seen.ended = error),
  );
  newest().begin(token);
  return made;
}

function comeBack() {
  mock.timers.tick(8_000);
  return newest();
}

beforeEach(() => {
  sockets = [];
  mock.restoreAll();
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  mock.method(Math, 'random', () => 1);
});

test('who closes while it waits stays closed', async () => {
  const { client, seen } = opened();
  client.on('state', ({ state }) => state === 'waiting' && client.close());
  newest().cut();
  mock.timers.tick(60_000);
  assert.deepEqual(seen.states, ['connecting', 'open', 'waiting', 'closed']);
  assert.equal(sockets.length, 1);
});

test('who closes when it dials opens no socket', async () => {
  const { client, seen } = make();
  client.on('state', ({ state }) => state === 'connecting' && client.close());
  await assert.rejects(client.connect(), new ConnectionError('closed here'));
  assert.deepEqual(seen.states, ['connecting', 'closed']);
  assert.equal(sockets.length, 0);
});

test('who closes when it dials again opens no further socket', () => {
  const { client, seen } = opened();
  client.on('state', ({ reason }) => reason === 'try 1' && client.close());
  newest().cut();
  mock.timers.tick(60_000);
  assert.deepEqual(seen.states, ['connecting', 'open', 'waiting', 'waiting', 'closed']);
  assert.equal(sockets.length, 1);
});

for (const name of ['x_resync', 'dropped']) {
  test(`who closes on ${name} is not opened by the conversation that begins`, () => {
    const { client, seen } = opened({}, null);
    newest().cut();
    client.send({ type: 'response.create' });
    client.on(name, () => client.close());
    comeBack().begin(null);
    assert.equal(client.state, 'closed');
    assert.equal(seen.states.at(-1), 'closed');
    assert.deepEqual(newest().sent, []);
    assert.equal(newest().closed, 1000);
  });
}

test('nothing is told after the end', () => {
  const { client, seen } = opened();
  let sounds = 0;
  client.on('audio', () => (sounds += 1));
  client.on('response.output_audio.delta', () => client.close());
  newest().say('response.output_audio.delta', { x_seq: 2, delta: 'AAA=' });
  newest().say('response.done', { x_seq: 3 });
  assert.equal(sounds, 0);
  assert.deepEqual(seen.events, ['session.created', 'response.output_audio.delta']);
});

test('after conversation_gone a conversation has to begin in time', () => {
  const { seen } = opened();
  newest().cut();
  const second = comeBack();
  second.say('x_resync', { code: 'conversation_gone', message: 'gone' });
  mock.timers.tick(9_999);
  assert.equal(second.closed, null);
  mock.timers.tick(1);
  assert.equal(second.closed, 4000);
  assert.equal(seen.states.at(-1), 'waiting');
  assert.match(seen.reasons.at(-1), /10000 ms/);
  const third = comeBack();
  assert.notEqual(third, second);
  third.begin();
  mock.timers.tick(7_999);
  assert.equal(seen.states.at(-1), 'open');
});

test('a server that never pings is not given up while it is silent', () => {
  const { seen } = opened({}, null);
  mock.timers.tick(600_000);
  assert.deepEqual(seen.states, ['connecting', 'open']);
});

test('what was seen of one conversation is not asked of the next', () => {
  const { client, seen } = opened();
  newest().say('response.done', { x_seq: 50 });
  newest().cut();
  comeBack().begin(null); // a server that does not resume …
  assert.equal(client.state, 'open');
  newest().say('response.done');
  newest().cut();
  comeBack().begin('ANOTHER'); // … and one that does
  assert.equal(client.state, 'open');
  newest().say('response.done', { x_seq: 2 });
  assert.equal(seen.events.filter((type) => type === 'response.done').length, 3);
  newest().cut();
  const last = comeBack();
  assert.equal(last.query.get('x_after'), '2');
  assert.deepEqual(last.protocols, ['realtime', 'x-resume.ANOTHER']);
});

test('what came before and comes again is passed over', () => {
  const { seen } = opened();
  newest().say('response.done', { x_seq: 2 });
  newest().cut();
  const again = comeBack();
  again.say('x_resumed', { missed: 0, received: 0 });
  again.say('response.done', { x_seq: 2 });
  assert.equal(seen.events.filter((type) => type === 'response.done').length, 1);
});

test('a line that opens and drops is dialled ever more rarely, and is not given up', () => {
  const { seen } = opened({ maxTries: 2 });
  newest().cut();
  for (const delayMs of [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]) {
    const before = sockets.length;
    mock.timers.tick(delayMs - 1);
    assert.equal(sockets.length, before, `${delayMs} ms`);
    mock.timers.tick(1);
    assert.equal(sockets.length, before + 1, `${delayMs} ms`);
    newest().say('x_resumed', { missed: 0, received: 0 });
    assert.equal(seen.states.at(-1), 'open');
    newest().cut();
  }
  assert.equal(seen.states.at(-1), 'waiting');
});

test('tries that never open are given up, whatever opened before them', () => {
  const { seen } = opened({ maxTries: 3 });
  newest().cut();
  for (const opens of [false, false, true, false, false, false]) {
    assert.equal(seen.states.at(-1), 'waiting');
    comeBack();
    if (opens) newest().say('x_resumed', { missed: 0, received: 0 });
    newest().cut();
  }
  assert.equal(seen.states.at(-1), 'closed');
  assert.match(seen.reasons.at(-1), /gave up after 3 tries/);
});

test('a first connection that never opens is given up after as many tries', async () => {
  const { client, seen } = make({ maxTries: 2 });
  const opening = client.connect();
  newest().cut();
  for (let again = 0; again < 2; again += 1) comeBack().cut();
  await assert.rejects(opening, /gave up after 2 tries/);
  assert.equal(sockets.length, 3);
  assert.equal(seen.states.at(-1), 'closed');
});

test('a question of the client itself is not told as lost', () => {
  const { seen } = opened();
  assert.deepEqual(newest().sent, [{ type: 'x_ping' }]);
  newest().cut();
  const next = comeBack();
  next.say('x_resync', { code: 'conversation_gone', message: 'gone' });
  next.begin('ANOTHER');
  assert.deepEqual(seen.dropped, []);
});

test('a line that has lived for a while is dialled at once again', () => {
  const { seen } = opened({ maxTries: 4 });
  newest().cut();
  for (const delayMs of [250, 500]) {
    mock.timers.tick(delayMs);
    newest().say('x_resumed', { missed: 0, received: 0 });
    if (delayMs < 500) newest().cut();
  }
  mock.timers.tick(7_999);
  newest().say('x_pong', { received: 0 });
  mock.timers.tick(1);
  newest().cut();
  assert.equal(seen.states.at(-1), 'waiting');
  const before = sockets.length;
  mock.timers.tick(250);
  assert.equal(sockets.length, before + 1);
});

test('a listener that throws is reported, and stops nothing', async () => {
  const { client, seen } = make();
  client.on('state', ({ state }) => {
    if (state === 'open') throw new Error('of the listener');
  });
  let heard = 0;
  client.on('state', () => (heard += 1));
  const opening = client.connect();
  newest().begin();
  assert.equal((await opening).id, SESSION.id);
  assert.equal(heard, 2);
  assert.deepEqual(seen.events, ['session.created']);
  assert.throws(() => mock.timers.tick(0), /of the listener/);
  client.appendAudio(new Int16Array(960));
  assert.deepEqual(newest().kinds, ['input_audio_buffer.append']);
});

test('a socket that cannot be made ends the client with its reason', async () => {
  class Impossible {
    constructor() {
      throw new SyntaxError('no such address');
    }
  }
  const { client, seen } = make({ WebSocket: Impossible });
  await assert.rejects(client.connect(), (error) => error instanceof ConnectionError && /no such address/.test(error.message));
  assert.deepEqual(seen.states, ['connecting', 'closed']);
});

test('a microphone that goes on does not push out what is sent again', () => {
  const { client, seen } = opened({ maxQueuedAudioMs: 3_000 });
  for (let at = 0; at < 175; at += 1) client.appendAudio(new Int16Array(960).fill(at)); // 7 s
  const sent = newest().sent;
  assert.equal(newest().kinds.length, 175);
  newest().cut();
  const again = comeBack();
  again.bufferedAmount = 1e6; // as long as it takes nothing, all that comes has to wait
  again.say('x_resumed', { missed: 0, received: 0 });
  client.appendAudio(new Int16Array(960).fill(200));
  again.bufferedAmount = 0;
  mock.timers.tick(20);
  const appended = (frames) => frames.filter(({ type }) => type === 'input_audio_buffer.append');
  const sounds = (frames) => appended(frames).map(({ audio }) => decodeSamples(audio)[0]);
  assert.deepEqual(sounds(again.sent).slice(0, 175), sounds(sent));
  assert.equal(sounds(again.sent).length, 176);
  assert.deepEqual(seen.dropped, []);
});

// --- the options of a session ------------------------------------------------------------------

const update = (client, session, event_id) =>
  client.send({ type: 'session.update', session: { type: 'realtime', ...session }, ...(event_id ? { event_id } : {}) });

function updatesOf(socket) {
  return socket.sent.filter(({ type }) => type === 'session.update').map(({ session: { type, ...options } }) => options);
}

// What the options are after all that a new conversation begins with.
function nextBegins() {
  newest().cut();
  const next = comeBack();
  next.begin(null);
  return updatesOf(next);
}

test('a new conversation begins with the options of the one before', () => {
  const { client } = opened({ session: { instructions: 'Be brief.' } }, null);
  update(client, { max_output_tokens: 6 });
  assert.deepEqual(nextBegins(), [{ instructions: 'Be brief.' }, { max_output_tokens: 6 }]);
  assert.deepEqual(nextBegins(), [{ instructions: 'Be brief.' }, { max_output_tokens: 6 }]);
});

test('options that the server refused are not set again', () => {
  const { client } = opened({}, null);
  for (const event_id of ['mine', undefined]) {
    update(client, { audio: { output: { speed: 99 } } }, event_id);
    const refused = newest().sent.at(-1).event_id;
    assert.equal(typeof refused, 'string');
    newest().say('error', { error: { type: 'invalid_request_error', code: 'invalid_value', message: 'no', event_id: refused } });
  }
  update(client, { max_output_tokens: 6 });
  assert.deepEqual(nextBegins(), [{ max_output_tokens: 6 }]);
});

test('options that found no room are not set later', () => {
  const { client } = make({ maxQueuedEvents: 1 });
  client.connect();
  update(client, { max_output_tokens: 6 });
  assert.throws(() => update(client, { instructions: 'Sing.' }), QueueFullError);
  newest().begin(null);
  assert.deepEqual(updatesOf(newest()), [{ max_output_tokens: 6 }]);
  assert.deepEqual(nextBegins(), [{ max_output_tokens: 6 }]);
});

test('options that wait for the line are set in the conversation that begins, and are not dropped', () => {
  const { client, seen } = opened({}, null);
  newest().cut();
  update(client, { max_output_tokens: 6 });
  client.send({ type: 'response.create' });
  const next = comeBack();
  next.begin(null);
  assert.deepEqual(next.kinds, ['session.update']);
  assert.deepEqual(seen.dropped, [{ reason: 'conversation_gone', events: 1, audioMs: 0 }]);
});

test('of many options the oldest become one', () => {
  const { client } = opened({ session: { instructions: 'Be brief.', audio: { output: { voice: 'Ada' } } } }, null);
  for (let tokens = 1; tokens <= 40; tokens += 1) update(client, { max_output_tokens: tokens, audio: { output: { speed: 1 } } });
  const options = nextBegins();
  assert.ok(options.length <= 17);
  assert.deepEqual(options[0].audio, { output: { voice: 'Ada', speed: 1 } });
  assert.equal(options[0].instructions, 'Be brief.');
  assert.equal(options.at(-1).max_output_tokens, 40);
});

// --- interruptions -----------------------------------------------------------------------------

const SAID = { response_id: 'resp_1', item_id: 'item_1', output_index: 0, content_index: 0, delta: 'x' };

function resync(socket, x_seq) {
  socket.say('x_resync', { code: 'events_lost', message: 'lost', x_seq, received: 0, session: SESSION, item_ids: [] });
}

test('only what is being said is cancelled', () => {
  const { client } = opened();
  client.interrupt('item_1', 100);
  newest().say('response.created', { x_seq: 2, response: {} });
  client.interrupt('item_1', 200);
  newest().say('response.done', { x_seq: 3, response: {} });
  client.interrupt('item_1', 300);
  const truncate = 'conversation.item.truncate';
  assert.deepEqual(newest().kinds, [truncate, 'response.cancel', truncate, truncate]);
});

test('after lost events a reply counts as over until more of it comes', () => {
  const { client } = opened();
  newest().say('response.created', { x_seq: 2, response: {} });
  newest().cut();
  resync(comeBack(), 50);
  client.interrupt('item_1', 100);
  assert.deepEqual(newest().kinds, ['conversation.item.truncate']);
  newest().say('response.output_audio_transcript.delta', { x_seq: 51, ...SAID });
  client.interrupt('item_1', 200);
  assert.deepEqual(newest().kinds.slice(1), ['response.cancel', 'conversation.item.truncate']);
});

test('a refusal is final', async () => {
  const { client, seen } = make();
  const opening = client.connect();
  newest().say('error', { error: { type: 'invalid_request_error', code: 'invalid_api_key', message: 'unknown', event_id: null } });
  newest().cut();
  await assert.rejects(opening, new ConnectionError('unknown (invalid_api_key)'));
  mock.timers.tick(60_000);
  assert.equal(sockets.length, 1);
  assert.equal(seen.states.at(-1), 'closed');
});
