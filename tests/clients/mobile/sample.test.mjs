// What the sample app says to people when a conversation ends; React Native, the SDK and the phone's
// sound are stand-ins.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MOBILE = fileURLToPath(new URL('../../../clients/mobile/', import.meta.url));
const STAND_INS = {
  'package.json': '{"type": "commonjs"}',
  'node_modules/react/index.js': 'module.exports = globalThis.phone.react;',
  'node_modules/react/jsx-runtime.js': 'exports.jsx = exports.jsxs = (type, props) => ({ type, props });',
  'node_modules/react-native/index.js': `
    for (const name of ['Button', 'SafeAreaView', 'ScrollView', 'Text', 'TextInput', 'View']) exports[name] = name;
    exports.StyleSheet = { create: (styles) => styles };
    exports.useColorScheme = () => 'light';`,
  'node_modules/omnilive-mobile/index.js': 'module.exports = globalThis.phone;',
  'sound.js': 'module.exports = globalThis.phone;',
};

// A client that does what a test wants, and ends as the real one does.
class RealtimeClient {
  listeners = new Map();
  state = 'idle';

  constructor() {
    phone.client = this;
  }

  on(name, listener) {
    this.listeners.set(name, listener);
  }

  connect() {
    this.turn('connecting', 'first try');
    return new Promise((resolve, reject) => (this.opened = { resolve, reject }));
  }

  open() {
    this.turn('open', 'a new conversation');
    this.opened.resolve();
  }

  close(reason = 'closed here') {
    if (this.state === 'closed') return;
    this.opened?.reject(new Error(reason));
    this.turn('closed', reason);
  }

  turn(state, reason) {
    this.state = state;
    this.listeners.get('state')({ state, reason });
  }
}

class Microphone {
  start = () => (phone.blocked ? Promise.reject(new Error(phone.blocked)) : Promise.resolve());
  stop = () => Promise.resolve();
}

class Loudspeaker {
  close = () => Promise.resolve();
}

// Hooks of one component that is drawn whenever somebody looks.
const cells = [];
let next = 0;
const cell = (make) => (cells[next] ??= make()) && cells[next++];
const react = {
  useState: (first) => cell(() => {
    const one = [first, (value) => (one[0] = typeof value === 'function' ? value(one[0]) : value)];
    return one;
  }),
  useRef: (current) => cell(() => ({ current })),
  useEffect: () => {},
};
const phone = (globalThis.phone = { react, RealtimeClient, Microphone, Loudspeaker, blocked: null, client: null });

const directory = mkdtempSync(join(tmpdir(), 'sample-'));
after(() => rmSync(directory, { recursive: true }));
const options = ['--ignoreConfig', '--noCheck', '--jsx', 'react-jsx', '--target', 'ES2022', '--module', 'CommonJS', '--moduleResolution', 'bundler'];
execFileSync(join(MOBILE, 'node_modules/.bin/tsc'), [...options, '--outDir', directory, join(MOBILE, 'sample/App.tsx')]);
for (const [name, text] of Object.entries(STAND_INS)) {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  writeFileSync(join(directory, name), text);
}
const { default: App } = createRequire(import.meta.url)(join(directory, 'App.js'));

function* nodes(tree) {
  if (Array.isArray(tree)) for (const one of tree) yield* nodes(one);
  else if (tree?.props) {
    yield tree;
    yield* nodes(tree.props.children);
  }
}

function look() {
  next = 0;
  const all = [...nodes(App())];
  const alert = all.find(({ props }) => props.accessibilityRole === 'alert');
  return { button: all.find(({ type }) => type === 'Button').props, alert: alert?.props.children ?? null };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function press() {
  look().button.onPress();
  await settle();
}

test('a microphone that is blocked is named', async () => {
  phone.blocked = 'The microphone is blocked.';
  await press();
  phone.client.open();
  await settle();
  phone.blocked = null;
  assert.deepEqual([look().button.title, look().alert], ['Start talking', 'The microphone is blocked.']);
});

test('a server that refuses is quoted', async () => {
  await press();
  assert.equal(look().alert, null, 'what was said of the one before is gone');
  phone.client.close('unknown (invalid_api_key)');
  await settle();
  assert.deepEqual([look().button.title, look().alert], ['Start talking', 'unknown (invalid_api_key)']);
});

test('a conversation that the server ends is explained', async () => {
  await press();
  phone.client.open();
  await settle();
  phone.client.close('nothing was said (session_idle)');
  await settle();
  assert.equal(look().alert, 'nothing was said (session_idle)');
});

test('that a new conversation begins is not hidden by what went with the old one', async () => {
  await press();
  phone.client.open();
  await settle();
  const say = (name, event) => phone.client.listeners.get(name)(event);
  say('dropped', { reason: 'queue_full', events: 3, audioMs: 120 });
  assert.equal(look().alert, '120 ms of sound were lost (the network is too slow)');
  say('x_resync', { code: 'conversation_gone', message: 'A new one begins.' });
  say('dropped', { reason: 'conversation_gone', events: 2, audioMs: 80 });
  assert.equal(look().alert, 'A new one begins.');
  await press();
});

for (const opens of [true, false]) {
  test(`who stops ${opens ? 'it' : 'before it began'} is not alarmed`, async () => {
    await press();
    if (opens) phone.client.open();
    await settle();
    assert.equal(look().button.title, 'Stop');
    await press();
    assert.deepEqual([look().button.title, look().alert], ['Start talking', null]);
  });
}
