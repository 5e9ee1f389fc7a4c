// The operator page: asks the server every two seconds what goes on, and shows it.

const PERIOD_MS = 2000;
const ANSWER_MS = 5000;
const KEY = 'omnilive-admin-key';
const WORDS = {
  ttfa: 'First audible sound (felt)',
  endpointing: 'Endpointing',
  asking: 'Until it was asked for',
  queue: 'Queue',
  prefill: 'Prefill tail',
  first_text: 'First text',
  first_codec_chunk: 'First codec chunk',
  first_wave: 'First waveform',
  send: 'Send and playout',
  leading_silence: 'Leading silence',
  first_sound: 'From asking to the first sound',
  endpoint_delay: 'Endpoint delay',
  barge_in: 'Barge-in',
  to_first_text: 'From asking to the first text',
  to_first_sound: 'From there to the first sound',
};

// Of a reply to nothing that was said less is known: its parts have the colour of the stage they end with.
const ENDS_WITH = { to_first_text: 'first_text', to_first_sound: 'first_wave' };

const $ = (id) => document.getElementById(id);
const words = (name) => WORDS[name] ?? name;
const ms = (seconds) => (seconds === null ? '–' : String(Math.round(seconds * 1000)));
const percent = (share) => `${(share * 100).toFixed(0)} %`;
const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

let timer = null;

function element(tag, text = '', attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// The first cell of a row is its heading; a cell may be a text or an element.
function row(cells) {
  const made = document.createElement('tr');
  cells.forEach((cell, place) => {
    if (cell instanceof Element) return made.append(cell);
    made.append(element(place ? 'td' : 'th', cell, place ? {} : { scope: 'row' }));
  });
  return made;
}

function fill(id, rows) {
  $(id).replaceChildren(...rows);
  $(`no-${id}`).hidden = rows.length > 0;
}

function duration(seconds) {
  const whole = Math.floor(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function tiles(state) {
  const { engine } = state;
  const made = [
    ['Sessions', `${state.conversations} of ${state.max_conversations}`, state.conversations >= state.max_conversations],
    ['Engine', engine.is_up ? 'up' : (engine.failure ?? (engine.silent_s ? `silent for ${duration(engine.silent_s)}` : 'starting')), !engine.is_up],
    ['Engine deaths', engine.deaths, engine.deaths > 0],
    ['Replies under way', engine.replies_running],
    ['Replies waiting', engine.replies_waiting],
    ['KV cache', percent(engine.kv_ratio)],
    ['Fullest context', percent(engine.context_ratio), engine.context_ratio > 0.9],
    ['Engine memory', gib(engine.resident_bytes)],
  ];
  if (engine.gpu_total_bytes !== null) made.push(['GPU memory', `${gib(engine.gpu_used_bytes)} of ${gib(engine.gpu_total_bytes)}`]);
  if (state.is_draining) made.push(['Doors', 'closed (draining)', true]);
  return made.map(([name, value, isBad]) => {
    const tile = element('div', '', isBad ? { 'data-bad': '' } : {});
    tile.append(element('dt', name), element('dd', String(value)));
    return tile;
  });
}

// The stages of one reply as a bar, and as words for those who do not see it.
function bars(reply, stages, longestS) {
  const cell = element('td', '', { class: 'bars' });
  const track = element('div', '', { class: 'track', 'aria-hidden': 'true' });
  for (const part of reply.stages) {
    const colour = stages.indexOf(ENDS_WITH[part.stage] ?? part.stage);
    const piece = element('span', '', { 'data-stage': colour, title: `${words(part.stage)}: ${ms(part.s)} ms` });
    piece.style.width = `${(100 * part.s) / longestS}%`;
    track.append(piece);
  }
  const told = reply.stages.map((part) => `${words(part.stage)} ${ms(part.s)} ms`).join(', ');
  cell.append(track, element('span', told || 'none', { class: 'unseen' }));
  return cell;
}

function replies(state) {
  const total = (reply) => reply.stages.reduce((sum, part) => sum + part.s, 0);
  const longestS = Math.max(0.001, ...state.replies.map(total));
  return state.replies.map((reply) => {
    const gaps = element('td', ms(reply.underrun_s), reply.underrun_s > 0 ? { 'data-bad': '' } : {});
    return row([
      clock(reply.at_s),
      reply.conversation_id.slice(0, 13),
      `${reply.status}, ${reply.transport}`,
      ms(reply.stages.length ? (reply.ttfa_s ?? total(reply)) : null),
      bars(reply, state.stages, longestS),
      reply.sound_s.toFixed(1),
      reply.rtf === null ? '–' : reply.rtf.toFixed(2),
      gaps,
    ]);
  });
}

function legend(stages) {
  return stages.map((name, place) => {
    const entry = element('li');
    entry.append(element('span', '', { 'data-stage': place, 'aria-hidden': 'true' }), words(name));
    return entry;
  });
}

function show(state) {
  $('model').textContent = state.model;
  $('tiles').replaceChildren(...tiles(state));
  fill('percentiles', state.percentiles.map((p) => row([words(p.name), String(p.count), ms(p.p50_s), ms(p.p95_s), ms(p.p99_s)])));
  fill('sessions', state.sessions.map((s) => row([s.conversation_id, s.transport, s.state, duration(s.age_s), String(s.turns), ms(s.last_ttfa_s)])));
  $('legend').replaceChildren(...legend(state.stages));
  fill('replies', replies(state));
}

// What stands there already is not written again: a screen reader would read it out.
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function say(text, state, alert = '') {
  write('status', text);
  $('status').dataset.state = state;
  write('alert', alert);
  $('alert').hidden = !alert;
}

function lock(alert) {
  sessionStorage.removeItem(KEY);
  $('board').hidden = true;
  $('unlock').hidden = false;
  say('Locked', 'idle', alert);
  $('key').focus();
}

async function look() {
  clearTimeout(timer);
  try {
    const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` };
    const signal = AbortSignal.timeout(ANSWER_MS);
    const reply = await fetch('/ops/state', { headers, cache: 'no-store', signal });
    if (reply.status === 401) return lock('That is not the admin key.');
    if (!reply.ok) throw new Error(`the server answers ${reply.status}`);
    show(await reply.json());
    $('unlock').hidden = true;
    $('board').hidden = false;
    say('Live', 'live');
  } catch (error) {
    say('Lost', 'lost', `No word from the server: ${error.message}`);
  }
  if (!document.hidden) timer = setTimeout(look, PERIOD_MS);
}

$('unlock').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $('key').value);
  $('key').value = '';
  say('Opening …', 'idle'); // a second wrong key is told again
  look();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && sessionStorage.getItem(KEY)) look();
});
if (sessionStorage.getItem(KEY)) look();
