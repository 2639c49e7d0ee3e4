import { $, h, count, when, span, pill, kind, ago } from './dom.js';
import { getExact } from './api.js';

function open(title, ...body) {
  $('detail-title').textContent = title;
  $('detail-body').replaceChildren(...body);
  if (!$('detail').open) $('detail').showModal();
}

const facts = (pairs) => h('dl', { class: 'facts' }, ...pairs.filter(([, v]) => v !== '' && v !== null && v !== undefined && v !== false)
  .flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));

// of are the facts of an event; its source is worth a line only where it is not its file.
const of = (event) => [['Event', h('code', {}, event.id)],
  ['Read', h('span', {}, when(event.read_at), ` from ${event.path}, offset ${event.offset}`)], ['Source', event.source !== event.path && event.source],
  ['Trace', h('code', {}, event.trace_id)], ['Note', event.incomplete && 'The main object of its type is missing; it is delivered as it is.']];

const payload = (exact) => [h('h3', {}, 'Payload'), h('pre', { dir: 'auto', tabindex: 0 }, JSON.stringify(exact.event.payload, null, 2))];

export async function openEvent(id, actions) {
  const [{ event, deliveries }, exact] = await getExact(`events/${encodeURIComponent(id)}`);
  open(event.event_type, facts(of(event)), h('h3', {}, 'Deliveries'),
    deliveries.length ? h('ul', { class: 'plain' }, ...deliveries.map((d) => h('li', {},
      h('button', { type: 'button', class: 'link', onclick: () => actions.open(d.id) }, d.webhook), ' ', pill(d.status), ` ${count(d.attempts)} ${d.attempts === 1 ? 'try' : 'tries'}`)))
      : h('p', {}, 'No webhook wanted this event.'),
    ...payload(exact));
}

export async function openDelivery(id, actions) {
  const [{ event, deliveries: [d] }, exact] = await getExact(`deliveries/${encodeURIComponent(id)}`);
  const story = [
    ...d.history.map((a) => ({ at: a.at, el: () => attempt(a) })),
    ...d.replays.map((r) => ({ at: r.at, el: () => h('li', {}, when(r.at), ` replayed by ${r.by}`) })),
  ].sort((a, b) => new Date(a.at) - new Date(b.at));
  open(`${d.event_type} to ${d.webhook}`,
    facts([['Status', pill(d.status)], ['Delivery', h('code', {}, d.id)], ['To', d.webhook_url], ...of(event),
      ['Next', d.next_attempt_at && h('span', {}, when(d.next_attempt_at), ` (${ago(d.next_attempt_at)})`)]]),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => { $('detail').close(); actions.replay(d.id); } }, d.completed_at ? 'Replay' : 'Try now')),
    h('h3', {}, 'Attempts'),
    h('ol', { class: 'timeline' }, ...(story.length ? story.map((s) => s.el()) : [h('li', {}, 'None yet.')])),
    ...payload(exact));
}

// Whether a retry was left after an attempt, the delivery's status tells.
const outcomes = { retry: 'failed', dead: 'failed for good', gone: 'gone for good' };

function attempt(a) {
  const steps = [['name resolved', a.dns], ['connected', a.connect], ['TLS', a.tls], ['first byte', a.first_byte]]
    .filter(([, t]) => t).map(([n, t]) => `${n} after ${span(t)}`).join(', ');
  return h('li', { class: kind(a.outcome) },
    when(a.at), ` attempt ${a.n}: `, pill(a.outcome, outcomes[a.outcome]), ` ${a.status ? `HTTP ${a.status}` : 'no response'} in ${span(a.took)}${a.remote ? ` from ${a.remote}` : ''}`,
    steps && h('div', { class: 'muted' }, steps), a.error && h('div', { dir: 'auto' }, a.error), a.response && h('pre', { dir: 'auto', tabindex: 0 }, a.response));
}

export function openTest(r) {
  open(`Sample ${r.event_type} to ${r.webhook}`,
    facts([['Outcome', pill(r.delivered ? 'delivered' : 'failed')], ['Status', r.status || 'no response'], ['Error', r.error], ['Took', span(r.took)], ['Address', r.remote]]),
    h('h3', {}, 'Request'), h('pre', { tabindex: 0 }, r.request), h('h3', {}, 'Response'), h('pre', { tabindex: 0 }, r.response || 'none'));
}
