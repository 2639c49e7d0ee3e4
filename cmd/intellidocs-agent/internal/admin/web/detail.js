// One delivery, one event, or one test, whole, in a dialog.
import { $, h, count, when, span, pill, kind, ago, word } from './dom.js';
import { get, getExact } from './api.js';
import { link } from './route.js';
import { attempt as tried, copyButton, modal, toast } from './dialogs.js';
import { why } from './deliveries.js';

function open(title, ...body) {
  $('detail-title').textContent = title;
  $('detail-body').replaceChildren(...body.flat().filter(Boolean));
  if (!$('detail').open) modal($('detail'));
}

const facts = (pairs) => h('dl', { class: 'facts' }, ...pairs.filter(([, v]) => v !== '' && v !== null && v !== undefined && v !== false)
  .flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));

// about are the facts of an event; its source is worth a line only where it is not its file.
const about = (event, linked) => [['About', event.subject], ['Event', h('span', {}, linked ? h('a', { href: link('events', event.id) }, h('code', {}, event.id)) : h('code', {}, event.id), ` ${event.event_type}`)],
  ['Read', h('span', {}, when(event.read_at), ` from ${event.path}, offset ${event.offset}`)], ['Source', event.source !== event.path && event.source],
  ['Trace', h('code', {}, event.trace_id)], ['Note', event.incomplete && 'The main object of this type is missing; the event is delivered as it is.']];

function payload(exact) {
  const text = JSON.stringify(exact.event.payload, null, 2);
  return [h('h3', {}, 'Payload'), h('div', { class: 'actions' }, copyButton('Copy payload', text)), h('pre', { id: 'payload', dir: 'auto', tabindex: 0 }, text)];
}

const page = (...parts) => `${location.origin}${location.pathname}${link(...parts)}`;

export async function openEvent(id, actions) {
  const [{ event, deliveries }, exact] = await getExact(`events/${encodeURIComponent(id)}`);
  open(`${word(event.event_type)}${event.subject ? ` ${event.subject}` : ''}`, facts(about(event)),
    h('div', { class: 'actions' }, copyButton('Copy link', page('events', event.id))),
    h('h3', {}, 'Deliveries'),
    deliveries.length ? h('ul', { class: 'plain' }, ...deliveries.map((d) => h('li', {},
      h('a', { href: link('deliveries', d.id) }, d.webhook), ' ', pill(d.status), ` ${count(d.attempts)} ${d.attempts === 1 ? 'try' : 'tries'}`, why(d, actions.webhooks()) && `, ${why(d, actions.webhooks())}`)))
      : h('p', {}, 'No webhook wanted this event.'),
    ...payload(exact));
}

export async function openDelivery(id, actions) {
  const [{ event, deliveries: [d] }, exact] = await getExact(`deliveries/${encodeURIComponent(id)}`);
  const steps = [
    ...d.history.map((a) => ({ at: a.at, el: () => attempt(d, a) })),
    ...d.replays.map((r) => ({ at: r.at, el: () => h('li', {}, when(r.at), ` replayed by ${r.by}`) })),
  ].sort((a, b) => new Date(a.at) - new Date(b.at));
  const waits = why(d, actions.webhooks());
  const webhook = actions.webhooks().get(d.webhook);
  const stopped = webhook && (webhook.state === 'paused' || webhook.state === 'held');
  open(`${word(d.event_type)} to ${d.webhook}`,
    facts([['Status', h('span', {}, pill(d.status), waits && ` ${waits}`)], ['Delivery', h('code', {}, d.id)], ['To', h('span', {}, h('a', { href: link('webhooks', d.webhook) }, d.webhook), ` ${d.webhook_url}`)],
      ['Next', !waits && d.next_attempt_at && h('span', {}, when(d.next_attempt_at), ` (${ago(d.next_attempt_at)})`)], ...about(event, true)]),
    stopped && h('p', { class: 'banner warn' }, `Nothing is sent to ${d.webhook} now: ${webhook.reason || webhook.state}.`),
    h('div', { class: 'actions' },
      stopped && h('button', { type: 'button', onclick: () => actions.resume(d.webhook) }, `Resume ${d.webhook}`),
      h('button', { type: 'button', class: stopped ? 'quiet' : '', id: 'replay', onclick: () => { $('detail').close(); actions.replay(d); } }, d.completed_at ? 'Replay' : 'Try now'),
      copyButton('Copy link', page('deliveries', d.id))),
    h('h3', {}, 'Attempts'),
    h('ol', { class: 'timeline', id: 'attempts' }, ...(steps.length ? steps.map((s) => s.el()) : [h('li', {}, 'None yet.')])),
    !d.history.length && request(d, 1),
    ...payload(exact));
}

// Whether a retry was left after an attempt, the delivery's status tells.
const outcomes = { retry: 'failed', dead: 'failed for good', gone: 'gone for good' };

function attempt(d, a) {
  const steps = [['name resolved', a.dns], ['connected', a.connect], ['TLS', a.tls], ['first byte', a.first_byte]]
    .filter(([, t]) => t).map(([n, t]) => `${n} after ${span(t)}`).join(', ');
  return h('li', { class: kind(a.outcome) },
    when(a.at), ` attempt ${a.n}: `, pill(a.outcome, outcomes[a.outcome]), ` ${a.status ? `HTTP ${a.status}` : 'no response'} in ${span(a.took)}${a.remote ? ` from ${a.remote}` : ''}`,
    steps && h('div', { class: 'muted' }, steps), a.error && h('div', { dir: 'auto' }, a.error), request(d, a.n), response(a));
}

// response shows what the webhook's receiver answered to an attempt: the status line, the headers
// and the beginning of the body. It is open where the attempt failed.
function response(a) {
  if (!a.header && !a.response) return null;
  const text = [a.header, a.response].filter(Boolean).join('\n');
  return h('details', { class: 'exchange response', open: a.outcome !== 'delivered' }, h('summary', {}, 'Response'),
    h('div', { class: 'actions' }, copyButton('Copy response', text)), h('pre', { dir: 'auto', tabindex: 0 }, text));
}

// request shows an attempt's request, made again from what is stored and for the same moment: the
// same body in the service's form and the same headers, secrets masked.
function request(d, n) {
  const text = h('pre', { tabindex: 0 });
  const load = () => tried(async () => {
    const r = await get(`deliveries/${encodeURIComponent(d.id)}/request?attempt=${n}`);
    text.textContent = r.request;
    buttons.replaceChildren(copyButton('Copy request', r.request), copyButton('Copy as curl', () => curl(r.request)));
  });
  const buttons = h('div', { class: 'actions' });
  return h('details', { class: 'exchange request', ontoggle: (e) => { if (e.target.open && !text.textContent) load(); } },
    h('summary', {}, d.history.length ? 'Request' : 'Request to be sent'),
    h('p', { class: 'hint' }, 'As the configuration now in force makes it, with secrets masked.'), buttons, text);
}

// curl turns a request's text into a command. What was masked stays masked.
function curl(text) {
  const end = text.indexOf('\n\n');
  const [first, ...headers] = text.slice(0, end).split('\n');
  const quoted = (s) => `'${s.replaceAll("'", "'\\''")}'`;
  if (text.includes('[secret]')) toast('Replace [secret] before you run it.');
  return ['curl', '-i', '-X', 'POST', ...headers.filter(Boolean).flatMap((l) => ['-H', quoted(l)]), '--data-binary', quoted(text.slice(end + 2)), quoted(first.replace(/^POST /, ''))].join(' ');
}

export function openTest(r) {
  open(`Sample ${word(r.event_type)} to ${r.webhook}`,
    facts([['Outcome', pill(r.delivered ? 'delivered' : 'failed')], ['Status', r.status || 'no response'], ['Error', r.error], ['Took', span(r.took)], ['Address', r.remote]]),
    h('h3', {}, 'Request'), h('pre', { tabindex: 0 }, r.request), h('h3', {}, 'Response'), h('pre', { tabindex: 0 }, r.response || 'none'));
}
