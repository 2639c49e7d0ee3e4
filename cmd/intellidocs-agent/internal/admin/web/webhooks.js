// One webhook at a glance: state, rates, backlog, and the last hour as a chart.
import { h, svg, count, span, ago, pill } from './dom.js';

export function card(w, actions) {
  const waiting = (w.counts.pending || 0) + (w.counts.retrying || 0);
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
  const held = w.state === 'paused' || w.state === 'held';
  const button = (text, act, focus) => h('button', { type: 'button', class: 'quiet', 'aria-label': `${text} ${w.name}`, 'data-focus': `${focus || text} ${w.name}`, onclick: () => act(w.name) }, text);
  return h('article', { class: 'card', 'data-webhook': w.name },
    h('h3', {}, h('span', {}, w.name), pill(w.state)),
    w.url && h('p', { class: 'url' }, w.url, w.events.length ? ` · ${w.events.join(', ')}` : '', w.format && w.format !== 'json' ? ` · ${w.format}` : ''),
    w.reason && h('p', { class: 'why' }, w.reason, w.next_probe ? `, next try ${ago(w.next_probe)}` : ''),
    h('figure', {}, chart(w), h('figcaption', {}, 'last hour')),
    h('dl', {}, fact('a minute', (w.per_minute || 0).toFixed(w.per_minute < 10 ? 1 : 0)), fact('p50', span(w.p50)), fact('p99', span(w.p99)), fact('in flight', count(w.in_flight)),
      fact('waiting', count(waiting)), fact('oldest due', w.oldest_due ? ago(w.oldest_due) : '–'), fact('failed', count(w.counts.failed)), fact('delivered', count(w.counts.success))),
    w.last_error && w.last_error !== w.reason && h('p', { class: 'why' }, `last error ${ago(w.last_failure)}: ${w.last_error}`),
    h('div', { class: 'actions' }, button('Show', actions.show),
      !w.removed && [button('Test', actions.test), held ? button('Resume', actions.resume, 'Hold') : button('Pause', actions.pause, 'Hold')]));
}

// chart draws the minutes of the last hour: delivered upward in one colour, failed
// attempts stacked on them in another.
function chart(w) {
  const minutes = w.minutes || [];
  const top = Math.max(1, ...minutes.map((m) => m.delivered + m.failed));
  const width = 240;
  const height = 34;
  const step = width / Math.max(60, minutes.length);
  const sum = (key) => minutes.reduce((n, m) => n + m[key], 0);
  const bars = minutes.flatMap((m, i) => {
    const ok = (m.delivered / top) * height;
    const bad = (m.failed / top) * height;
    return [ok && svg('rect', { class: 'bar-ok', x: i * step, y: height - ok, width: step * 0.8, height: ok }),
      bad && svg('rect', { class: 'bar-bad', x: i * step, y: height - ok - bad, width: step * 0.8, height: bad })];
  });
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `last hour: ${count(sum('delivered'))} delivered, ${count(sum('failed'))} failed attempts` },
    svg('line', { class: 'axis', x1: 0, x2: width, y1: height, y2: height }), ...bars);
}
