import { $, h, when, span, pill, kind, ago } from './dom.js';
import { getExact } from './api.js';

function open(title, ...body) {
  $('detail-title').textContent = title;
  $('detail-body').replaceChildren(...body);
  if (!$('detail').open) $('detail').showModal();
}

const facts = (pairs) => h('dl', { class: 'facts' }, ...pairs.filter(([, v]) => v !== '' && v !== null && v !== undefined)
  .flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));

export async function openDelivery(id, actions) {
  const [{ event, deliveries: [d] }, exact] = await getExact(`deliveries/${encodeURIComponent(id)}`);
  const story = [
    ...d.history.map((a) => ({ at: a.at, el: () => attempt(a) })),
    ...d.replays.map((r) => ({ at: r.at, el: () => h('li', {}, when(r.at), ` replayed by ${r.by}`) })),
  ].sort((a, b) => new Date(a.at) - new Date(b.at));
  open(`${d.event_type} to ${d.webhook}`,
    facts([['Status', pill(d.status)], ['Delivery', h('code', {}, d.id)], ['Event', h('code', {}, event.id)], ['To', d.webhook_url],
      ['Read', h('span', {}, when(event.read_at), ` from ${event.path}, offset ${event.offset}`)], ['Source', event.source], ['Trace', h('code', {}, event.trace_id)],
      ['Next', d.next_attempt_at && h('span', {}, when(d.next_attempt_at), ` (${ago(d.next_attempt_at)})`)]]),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => { $('detail').close(); actions.replay(d.id); } }, d.completed_at ? 'Replay' : 'Try now')),
    h('h3', {}, 'Attempts'),
    h('ol', { class: 'timeline' }, ...(story.length ? story.map((s) => s.el()) : [h('li', {}, 'None yet.')])),
    h('h3', {}, 'Payload'),
    h('pre', { dir: 'auto', tabindex: 0 }, JSON.stringify(exact.event.payload, null, 2)));
}

function attempt(a) {
  const steps = [['name resolved', a.dns], ['connected', a.connect], ['TLS', a.tls], ['first byte', a.first_byte]]
    .filter(([, t]) => t).map(([n, t]) => `${n} after ${span(t)}`).join(', ');
  return h('li', { class: kind(a.outcome) },
    when(a.at), ` attempt ${a.n}: `, pill(a.outcome), ` ${a.status ? `HTTP ${a.status}` : 'no response'} in ${span(a.took)}${a.remote ? ` from ${a.remote}` : ''}`,
    steps && h('div', { class: 'muted' }, steps), a.error && h('div', { dir: 'auto' }, a.error), a.response && h('pre', { dir: 'auto', tabindex: 0 }, a.response));
}

export function openTest(r) {
  open(`Sample ${r.event_type} to ${r.webhook}`,
    facts([['Outcome', pill(r.delivered ? 'delivered' : 'failed')], ['Status', r.status || 'no response'], ['Error', r.error], ['Took', span(r.took)], ['Address', r.remote]]),
    h('h3', {}, 'Request'), h('pre', { tabindex: 0 }, r.request), h('h3', {}, 'Response'), h('pre', { tabindex: 0 }, r.response || 'none'));
}
