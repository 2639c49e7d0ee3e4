// One webhook at a glance: state, rates, backlog, and the last hour as a chart.
import { h, count, span, ago, probe, pill } from './dom.js';
import { small } from './charts.js';
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
    w.agent && h('p', { class: 'url' }, `served by ${w.agent}`),
    w.reason && h('p', { class: 'why' }, w.reason, w.next_probe ? `, ${probe(w.next_probe)}` : ''),
    never(w) && h('p', { class: 'why' }, 'It waits for its first event. "Test" sends a sample now.'),
    !alone && small(w.name),
    h('dl', {}, fact('a minute', (w.per_minute || 0).toFixed(w.per_minute < 10 ? 1 : 0)), fact('p50', span(w.p50)), fact('p99', span(w.p99)), fact('in flight', count(w.in_flight)),
      fact('waiting', count(waiting)), fact('oldest due', w.oldest_due ? ago(w.oldest_due) : '–'), fact('failed', count(w.counts.failed)), fact('delivered', count(w.counts.success))),
    w.last_error && w.last_error !== w.reason && h('p', { class: 'why' }, `last error ${ago(w.last_failure)}: ${w.last_error}`),
    h('div', { class: 'actions' }, !w.removed && [button('Test', actions.test), held ? button('Resume', actions.resume, 'Hold') : button('Pause', actions.pause, 'Hold'),
      alone && w.counts.failed > 0 && button(`Replay ${count(w.counts.failed)} failed…`, actions.replayFailed, 'Replay failed')]));
}
