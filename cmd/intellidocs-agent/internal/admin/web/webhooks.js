// One webhook at a glance: state, rates, backlog, and the last hour as a chart.
import { h, svg, count, span, ago, pill } from './dom.js';
import { link } from './route.js';

// order puts what is sick first.
const rank = { held: 0, paused: 0, retrying: 1, removed: 3 };
export const sickFirst = (list) => list.map((w, i) => [rank[w.state] ?? (w.removed ? 3 : 2), i, w]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , w]) => w);

export const never = (w) => w.state === 'healthy' && !Object.values(w.counts).some(Boolean);

export function card(w, actions, alone) {
  const waiting = (w.counts.pending || 0) + (w.counts.retrying || 0);
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
  const held = w.state === 'paused' || w.state === 'held';
  const where = alone ? 'alone ' : '';
  const button = (text, act, focus) => h('button', { type: 'button', class: 'quiet', 'aria-label': `${text} ${w.name}`, 'data-focus': `${where}${focus || text} ${w.name}`, onclick: () => act(w.name) }, text);
  return h('article', { class: `card ${alone ? 'alone' : ''}`, 'data-webhook': w.name },
    h('h3', {}, alone ? h('span', {}, w.name) : h('a', { href: link('webhooks', w.name), 'data-focus': `open ${w.name}` }, w.name), never(w) ? pill('idle', 'no deliveries yet') : pill(w.state)),
    w.url && h('p', { class: 'url' }, w.url, w.events.length ? ` · ${w.events.join(', ')}` : '', w.format && w.format !== 'json' ? ` · ${w.format}` : ''),
    w.reason && h('p', { class: 'why' }, w.reason, w.next_probe ? `, next try ${ago(w.next_probe)}` : ''),
    never(w) && h('p', { class: 'why' }, 'It waits for its first event. "Test" sends a sample now.'),
    chart(w, alone),
    h('dl', {}, fact('a minute', (w.per_minute || 0).toFixed(w.per_minute < 10 ? 1 : 0)), fact('p50', span(w.p50)), fact('p99', span(w.p99)), fact('in flight', count(w.in_flight)),
      fact('waiting', count(waiting)), fact('oldest due', w.oldest_due ? ago(w.oldest_due) : '–'), fact('failed', count(w.counts.failed)), fact('delivered', count(w.counts.success))),
    w.last_error && w.last_error !== w.reason && h('p', { class: 'why' }, `last error ${ago(w.last_failure)}: ${w.last_error}`),
    h('div', { class: 'actions' }, !w.removed && [button('Test', actions.test), held ? button('Resume', actions.resume, 'Hold') : button('Pause', actions.pause, 'Hold')]));
}

const width = 240;
const tall = { true: 90, false: 34 };

// chart draws the minutes of the last hour: delivered upward in one colour, failed attempts
// stacked on them in another. The highest minute is the scale; each minute tells its values.
function chart(w, alone) {
  const minutes = w.minutes || [];
  const most = Math.max(0, ...minutes.map((m) => m.delivered + m.failed));
  const top = Math.max(1, most);
  const height = tall[Boolean(alone)];
  const step = width / Math.max(60, minutes.length);
  const sum = (key) => minutes.reduce((n, m) => n + m[key], 0);
  const all = `last hour: ${count(sum('delivered'))} delivered, ${count(sum('failed'))} failed attempts`;
  const legend = h('span', {}, all);
  const bars = minutes.flatMap((m, i) => {
    const ok = (m.delivered / top) * height;
    const bad = (m.failed / top) * height;
    const says = `${clock(m.at)}: ${count(m.delivered)} delivered, ${count(m.failed)} failed`;
    return [ok && svg('rect', { class: 'bar-ok', x: i * step, y: height - ok, width: step * 0.8, height: ok }),
      bad && svg('rect', { class: 'bar-bad', x: i * step, y: height - ok - bad, width: step * 0.8, height: bad }),
      svg('rect', { class: 'bar-any', x: i * step, y: 0, width: step, height, onpointerenter: () => { legend.textContent = says; } }, svg('title', {}, says))];
  });
  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': all, class: alone ? 'tall' : '', onpointerleave: () => { legend.textContent = all; } },
    svg('line', { class: 'axis', x1: 0, x2: width, y1: height, y2: height }), svg('line', { class: 'axis faint', x1: 0, x2: width, y1: 0.5, y2: 0.5 }), ...bars);
  return h('figure', {}, h('div', { class: 'scale' }, `${count(most)} a minute`), drawing, h('figcaption', {}, h('span', {}, clock(minutes[0]?.at)), legend, h('span', {}, 'now')));
}

const clock = (at) => (at ? new Date(at).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' }) : '');
