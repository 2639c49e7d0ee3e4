// What attempts came to over the last hour, day or month, as the agent counts it: small charts
// on the cards, and two with a scale, attempts and how long they took, for one webhook.
import { $, h, svg, fill, count, span } from './dom.js';
import { get } from './api.js';
import { link } from './route.js';

const spans = { '1h': 'Last hour', '24h': 'Last 24 hours', '30d': 'Last 30 days' };
const empty = { delivered: 0, failed: 0, given_up: 0, p50: 0, p95: 0, slowest: 0 };
const every = 10000;

// dense puts every step into its place, also those in which nothing happened.
function dense(history, steps) {
  const begin = Date.parse(history.begin);
  const n = Math.floor((Date.parse(history.end) - begin) / (history.step * 1000)) + 1;
  const out = Array.from({ length: n }, (_, i) => ({ ...empty, from: begin + i * history.step * 1000, to: begin + (i + 1) * history.step * 1000 }));
  for (const s of steps) Object.assign(out[Math.round((Date.parse(s.at) - begin) / (history.step * 1000))] || {}, s);
  return out;
}

const two = { hour: '2-digit', minute: '2-digit' };
const clock = (t, long) => new Date(t).toLocaleString(undefined, long ? { day: 'numeric', month: 'short', ...two } : two);
const sum = (steps, key) => steps.reduce((n, s) => n + s[key], 0);
const attempts = (s) => `${count(s.delivered)} delivered, ${count(s.failed)} failed${s.given_up ? `, ${count(s.given_up)} of them for good` : ''}`;
const took = (s) => (s.delivered + s.failed ? `half within ${span(s.p50)}, 95 % within ${span(s.p95)}, slowest ${span(s.slowest)}` : 'no attempt');

// round is the next 1, 2, 4 or 6 with zeros, so that a scale and its half read easily.
function round(n) {
  const ten = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 6, 10].map((k) => k * ten).find((k) => k >= n);
}

// draw makes a chart. bars are what each step shows, as [class, from, to] in the scale's unit;
// says is what the pointer or the arrow keys tell of one.
function draw({ steps, top, height, bars, says, all, long }) {
  const readout = h('span', { class: 'readout' }, all);
  const cursor = svg('rect', { class: 'cursor', x: 0, y: 0, width: 1, height, visibility: 'hidden' });
  let at = steps.length;
  const show = (i) => {
    at = Math.max(0, Math.min(steps.length - 1, i));
    cursor.setAttribute('x', at);
    cursor.setAttribute('visibility', 'visible');
    readout.textContent = `${clock(steps[at].from, long)}–${clock(steps[at].to)}: ${says(steps[at])}`;
  };
  const leave = () => {
    at = steps.length;
    cursor.setAttribute('visibility', 'hidden');
    readout.textContent = all;
  };
  const drawing = svg('svg', {
    viewBox: `0 0 ${steps.length} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': all, tabindex: 0,
    onpointermove: (e) => { const box = drawing.getBoundingClientRect(); show(Math.floor(((e.clientX - box.left) / box.width) * steps.length)); },
    onpointerleave: leave, onblur: leave,
    onkeydown: (e) => {
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: steps.length - 1 }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      show(to);
      drawing.setAttribute('aria-label', readout.textContent);
    },
  }, [0, 0.5, 1].map((part) => svg('line', { class: part === 1 ? 'axis' : 'axis faint', x1: 0, x2: steps.length, y1: part * height, y2: part * height })),
  cursor,
  steps.flatMap((s, i) => bars(s).filter(([, from, to]) => to > from).map(([cls, from, to]) => {
    // What is there at all is a pixel high.
    const tall = Math.max(1.5, ((to - from) / top) * height);
    return svg('rect', { class: cls, x: i + 0.1, width: 0.8, y: height - (from / top) * height - tall, height: tall });
  })));
  return { drawing, readout };
}

const stacked = (s) => [['bar-ok', 0, s.delivered], ['bar-bad', s.delivered, s.delivered + s.failed]];

// small is a card's chart. A card is made again each second, its chart only with new counts: what
// the pointer shows must last.
const cards = new Map();
export const small = (name) => cards.get(name) || h('figure', { class: 'chart small' });

function makeSmall(steps) {
  const most = Math.max(0, ...steps.map((s) => s.delivered + s.failed));
  const all = `last hour: ${attempts({ delivered: sum(steps, 'delivered'), failed: sum(steps, 'failed') })}`;
  const { drawing, readout } = draw({ steps, top: Math.max(1, most), height: 34, bars: stacked, says: attempts, all });
  return h('figure', { class: 'chart small' }, h('div', { class: 'scale' }, most ? `up to ${count(most)} a minute` : ''), drawing,
    h('figcaption', {}, h('span', {}, clock(steps[0].from)), readout, h('span', {}, 'now')));
}

// large is a chart with a scale.
function large(title, { steps, top, text, long, ...rest }) {
  const { drawing, readout } = draw({ steps, top, height: 100, long, ...rest });
  const middle = steps[Math.floor(steps.length / 2)].from;
  return h('figure', { class: 'chart' }, h('figcaption', {}, h('b', {}, title), readout),
    h('div', { class: 'plot' }, h('div', { class: 'yaxis' }, h('span', {}, text(top)), h('span', {}, text(top / 2)), h('span', {}, text(0))), drawing,
      h('div', { class: 'xaxis' }, h('span', {}, clock(steps[0].from, long)), h('span', {}, clock(middle, long)), h('span', {}, 'now'))));
}

function page(name, chosen, steps) {
  const long = chosen === '30d';
  const most = Math.max(1, ...steps.map((s) => s.delivered + s.failed));
  const slow = Math.max(1e6, ...steps.map((s) => s.p95));
  const unit = { '1h': 'a minute', '24h': 'a quarter hour', '30d': 'in six hours' }[chosen];
  const whole = { delivered: sum(steps, 'delivered'), failed: sum(steps, 'failed'), given_up: sum(steps, 'given_up') };
  const top = Math.max(2, round(most));
  return [
    h('div', { class: 'spans', role: 'group', 'aria-label': 'Time shown' }, Object.entries(spans).map(([key, word]) => h('a', {
      href: `${link('webhooks', name)}${key === '1h' ? '' : `?span=${key}`}`, 'aria-current': key === chosen && 'true', 'data-focus': `span ${key}` }, word))),
    large(`Attempts, ${unit}`, { steps, top, text: count, long, bars: stacked, says: attempts, all: attempts(whole) }),
    large('How long they took', { steps, top: round(slow), text: (n) => (n ? span(n) : '0'), long, says: took,
      bars: (s) => [['bar-p95', 0, s.p95], ['bar-p50', 0, s.p50]], all: whole.delivered + whole.failed ? 'half of them (dark) and 95 % of them (light) took at most' : 'no attempt' })];
}

// charts asks for the counts that the view shows, and again while it is looked at.
export const charts = {
  view: {},
  asked: 0,
  show(view) {
    this.view = view;
    if (view.view !== 'webhooks') $('charts').replaceChildren();
    this.load();
  },
  async load() {
    const turn = ++this.asked;
    const { view, id, query } = this.view;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), every);
    if (document.hidden || (view !== '' && view !== 'webhooks')) return;
    const chosen = spans[query.get('span')] && view !== '' ? query.get('span') : '1h';
    const history = await get(`history?span=${chosen}${view ? `&webhook=${encodeURIComponent(id)}` : ''}`).catch(() => null);
    if (!history || turn !== this.asked) return;
    for (const w of history.webhooks) {
      const steps = dense(history, w.steps);
      if (view) fill($('charts'), [id, chosen, history.begin, w.steps], () => page(id, chosen, steps));
      else this.card(w, steps, history.begin);
    }
  },
  card(w, steps, begin) {
    const key = JSON.stringify([begin, w.steps]);
    const known = cards.get(w.webhook);
    if (known?.key === key) return;
    const made = makeSmall(steps);
    made.key = key;
    cards.set(w.webhook, made);
    [...$('webhooks').children].find((e) => e.dataset.webhook === w.webhook)?.querySelector('figure')?.replaceWith(made);
  },
};
document.addEventListener('visibilitychange', () => { if (!document.hidden) charts.load(); });
