// The page: wires buttons, captions, meters and read-outs to one conversation at a time.

import { Answering } from './answering.js';
import { Call, CallError } from './call.js';
import { Captions } from './captions.js';
import { Conversation } from './conversation.js';
import { HoldButton } from './hold.js';
import { TurnClock } from './latency.js';
import * as media from './media.js';
import { Meter, shown } from './meter.js';
import { Models } from './models.js';
import { Preview } from './preview.js';
import { chosen, session } from './settings.js';
import { Socket } from './socket.js';
import { TurnTable } from './turns.js';

const $ = (id) => document.getElementById(id);

let line = null; // the Call or Socket in use
let settings = null; // with which it was begun
let starting = null; // a promise, while it is begun
let microphone = null;
let context = null;
let meters = {};
let awaitsSound = false;
const typed = []; // and not sent yet
let mistake = false; // the alert is about one event; the next turn takes it away
const answering = new Answering();
const turns = new TurnTable($('turns'));
const clock = new TurnClock((turn) => turns.show(turn));
const models = new Models($('model'), $('voice'));
const captions = new Captions($('captions'), $('empty'), $('announcer'));
const preview = new Preview(
  { button: $('camera'), figure: $('preview'), video: $('preview-video'), note: $('preview-note') },
  { changed: showCamera, warn },
);
let conversation = newConversation();

// --- words and states ---------------------------------------------------------------------------

function say(text, state) {
  $('status').textContent = text;
  $('status').dataset.state = state;
}

function warn(text) {
  $('alert').textContent = text ?? '';
  $('alert').hidden = !text;
  mistake = false;
}

function show() {
  const live = line !== null;
  const push = settings?.push;
  const focused = document.activeElement;
  const word = live ? 'Stop' : 'Start talking';
  if ($('start').textContent !== word) $('start').textContent = word;
  $('start').setAttribute('aria-disabled', String(starting !== null));
  $('start').classList.toggle('primary', !live);
  $('hold').hidden = $('hold-help').hidden = !(live && push && microphone);
  $('mute').hidden = !(live && !push && microphone);
  $('interrupt').hidden = !(live && answering.now);
  if (focused?.hidden) $(['hold', 'mute'].find((id) => !$(id).hidden) ?? (live ? 'text' : 'start')).focus();
}

// --- connecting ---------------------------------------------------------------------------------

// Once at a time: who comes meanwhile waits for the same one.
function start(options) {
  starting ??= open(options).finally(() => {
    starting = null;
    show();
  });
  show();
  return starting;
}

async function open({ withMicrophone }) {
  warn();
  say('Connecting …', 'wait');
  try {
    if (!models.chosen) await models.load($('key').value);
    context = media.context(24000);
    await context.resume();
    settings = chosen(models);
    if (withMicrophone) await openMicrophone();
    setMuted(settings.push);
    line = await connect();
    begin();
  } catch (error) {
    stop();
    say('Not connected', 'lost');
    warn(error instanceof CallError ? error.message : `The server cannot be reached. (${error.message})`);
  }
}

async function openMicrophone() {
  try {
    microphone = await media.microphone();
    media.watch(microphone, 'microphone', warn);
    meters.mic = new Meter(context, context.createMediaStreamSource(microphone));
  } catch (error) {
    if (!(error instanceof media.MediaError)) throw error;
    warn(error.message);
  }
}

// Tries WebRTC first, unless told otherwise; where it finds no path, the WebSocket.
async function connect() {
  const options = { ...settings, sound: $('sound'), microphone, camera: preview.stream, context };
  const handlers = { event: take, lost, wavers };
  const kinds = { webrtc: [Call], websocket: [Socket], auto: [Call, Socket] }[settings.transport];
  let failure = null;
  for (const Kind of kinds) {
    const attempt = new Kind(options, handlers);
    try {
      await attempt.connect();
      return attempt;
    } catch (error) {
      attempt.close();
      failure = error;
    }
  }
  throw failure;
}

function newConversation() {
  return new Conversation((caption) => captions.show(caption));
}

function begin() {
  conversation = newConversation();
  meters.reply = new Meter(context, line.output);
  line.send({ type: 'session.update', session: session(settings) });
  tellWhoSees();
  sayConnected();
}

function sayConnected() {
  say(`Connected over ${line.name}${microphone ? '' : ', without a microphone'}`, 'live');
}

function stop() {
  line?.close();
  media.stop(microphone);
  context?.close();
  line = microphone = context = null;
  meters = {};
  answering.forget();
  awaitsSound = false;
  tellWhoSees();
}

function lost(reason) {
  stop();
  say('Disconnected', 'lost');
  const last = $('alert').hidden ? '' : `${$('alert').textContent} `;
  warn(`${last}${reason} Press “Start talking” to begin a new conversation.`);
  show();
}

// The network is away, and may come back before the line is lost.
function wavers(away) {
  if (!line) return;
  if (away) say('The network is away; waiting for it …', 'wait');
  else if ($('status').dataset.state === 'wait') sayConnected();
}

// --- events -------------------------------------------------------------------------------------

function take(event) {
  for (const answer of conversation.take(event)) line?.send(answer);
  answering.take(event);
  const nowMs = performance.now();
  switch (event.type) {
    case 'input_audio_buffer.speech_stopped':
      clock.speechEnded(meters.mic?.lastLoudMs ?? nowMs);
      break;
    case 'response.created':
      clock.responded(nowMs);
      awaitsSound = true;
      break;
    case 'response.output_audio_transcript.delta':
      clock.words(nowMs);
      break;
    case 'conversation.item.added':
      if (mistake && event.item.role === 'user') warn();
      break;
    case 'error':
      warn(event.error.message);
      mistake = true;
      break;
  }
  show();
}

function interrupt() {
  if (answering.made) line.send({ type: 'response.cancel' });
  line.silence();
  answering.forget();
  awaitsSound = false;
  show();
}

// --- talking ------------------------------------------------------------------------------------

function setMuted(muted) {
  for (const track of microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  $('mute').setAttribute('aria-pressed', String(muted));
}

function listen() {
  if (!line) return false;
  if (answering.now) interrupt();
  line.send({ type: 'input_audio_buffer.clear' });
  setMuted(false);
  return true;
}

function ask() {
  setMuted(true);
  clock.speechEnded(performance.now());
  line?.send({ type: 'input_audio_buffer.commit' });
  line?.send({ type: 'response.create' });
}

function dropTap() {
  setMuted(true);
  line?.send({ type: 'input_audio_buffer.clear' });
}

async function sendText(event) {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  $('text').value = '';
  typed.push(text);
  if (!line) await start({ withMicrophone: false });
  sendTyped();
}

// What was typed while it connected is one question: the server takes no second one before it has answered.
function sendTyped() {
  const texts = typed.splice(0);
  if (!texts.length) return;
  if (!line) {
    $('text').value = [...texts, $('text').value].join(' ').trim();
    return;
  }
  if (answering.now) interrupt();
  for (const text of texts) {
    const content = [{ type: 'input_text', text }];
    line.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
  }
  clock.speechEnded(performance.now());
  line.send({ type: 'response.create' });
}

async function showCamera(stream) {
  tellWhoSees();
  await line?.setCamera(stream);
}

function tellWhoSees() {
  const sees = line ? settings.takesVideo : models.seesVideo;
  preview.tell(line || !sees ? sees : null);
}

// --- what is shown ------------------------------------------------------------------------------

function showLevels() {
  for (const [name, id] of [['mic', 'mic-level'], ['reply', 'reply-level']]) {
    const level = meters[name]?.read() ?? 0;
    $(id).style.transform = `scaleX(${shown(level).toFixed(3)})`;
  }
  if (awaitsSound && meters.reply?.isLoud) {
    awaitsSound = false;
    clock.sound(performance.now());
  }
}

// --- wiring -------------------------------------------------------------------------------------

$('start').addEventListener('click', () => {
  if (starting) return null;
  if (!line) return start({ withMicrophone: true });
  stop();
  say('Not connected', 'idle');
  return show();
});
$('mute').addEventListener('click', () => setMuted($('mute').getAttribute('aria-pressed') !== 'true'));
$('interrupt').addEventListener('click', interrupt);
$('type').addEventListener('submit', sendText);
$('key').value = sessionStorage.getItem('omnilive-key') ?? '';
$('key').addEventListener('change', () => {
  sessionStorage.setItem('omnilive-key', $('key').value);
  models.load($('key').value).then(() => warn(), (error) => warn(error.message));
});
new HoldButton($('hold'), { pressed: listen, released: ask, tapped: dropTap });
window.addEventListener('pagehide', stop);
window.addEventListener('offline', () => wavers(true));
window.addEventListener('online', () => wavers(false));
setInterval(showLevels, 40);
models.load($('key').value).catch((error) => {
  warn(error instanceof CallError ? error.message : 'The server cannot be reached.');
  if (error instanceof CallError) $('settings').open = true;
});
show();
