// Everything shown is built from text nodes: what comes from payloads and responses is
// never read as HTML.

export const $ = (id) => document.getElementById(id);

// h makes an element: h('p', {class: 'x', onclick: f}, 'text', child…).
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  put(el, props, children);
  return el;
}

export function svg(tag, props, ...children) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
  put(el, props, children);
  return el;
}

function put(el, props, children) {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? '' : String(value));
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
}

// fill replaces an element's children, but only where that changes something, so that a
// reader's selection and scroll position survive the next second. What had the focus and
// carries a data-focus gets it back. While a button is held down nothing is replaced: a
// click on an element that was replaced halfway is no click.
const shown = new WeakMap();
const later = new Map();
let pressed = false;

export function fill(el, key, build) {
  if (pressed) { later.set(el, [key, build]); return; }
  const now = JSON.stringify(key);
  if (shown.get(el) === now) return;
  shown.set(el, now);
  const focus = el.contains(document.activeElement) && document.activeElement.dataset.focus;
  el.replaceChildren(...build().flat());
  if (focus) [...el.querySelectorAll('[data-focus]')].find((e) => e.dataset.focus === focus)?.focus({ preventScroll: true });
}

function released() {
  pressed = false;
  const waiting = [...later];
  later.clear();
  for (const [el, [key, build]] of waiting) fill(el, key, build);
}
addEventListener('pointerdown', () => { pressed = true; }, true);
for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => setTimeout(released), true);
addEventListener('blur', released);

const number = new Intl.NumberFormat();
export const count = (n) => number.format(n || 0);

export function bytes(n) {
  if (!n || n < 0) return '0 B';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const i = Math.min(units.length - 1, Math.floor(Math.log2(n) / 10));
  return `${(n / 2 ** (10 * i)).toFixed(i && n / 2 ** (10 * i) < 10 ? 1 : 0)} ${units[i]}`;
}

// span prints nanoseconds, as Go's durations come.
export function span(ns) {
  if (!ns) return '–';
  const ms = ns / 1e6;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.round(ms / 60000)} min`;
}

export function when(text) {
  if (!text) return '–';
  const t = new Date(text);
  return h('time', { datetime: text, title: text }, t.toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' }));
}

export function ago(text) {
  if (!text || text.startsWith('0001')) return '–';
  const s = (Date.now() - new Date(text)) / 1000;
  const abs = Math.abs(s);
  const size = abs < 60 ? `${Math.round(abs)} s` : abs < 3600 ? `${Math.round(abs / 60)} min` : abs < 172800 ? `${Math.round(abs / 3600)} h` : `${Math.round(abs / 86400)} d`;
  return s < 0 ? `in ${size}` : `${size} ago`;
}

// probe says when a held webhook is tried next.
export const probe = (at) => (new Date(at) > Date.now() ? `next try ${ago(at)}` : 'being tried now');

// word is an event type as people say it: "scan completed".
export const word = (type) => type.replaceAll('_', ' ').trim() || '(no type)';

const kinds = {
  healthy: 'good', success: 'good', delivered: 'good', ready: 'good', alive: 'good',
  retrying: 'warn', retry: 'warn', pending: '', idle: '', stopped: '',
  failed: 'bad', held: 'bad', paused: 'bad', dead: 'bad', gone: 'bad', 'not ready': 'bad',
};
export const kind = (state) => kinds[state] || '';
export const pill = (state, word) => h('span', { class: `pill ${kind(state)}` }, word || state);
