// The deliveries: filter, list, and replay of all that match.
import { $, h, fill, count, when, ago, probe, pill, word } from './dom.js';
import { get, call, lines } from './api.js';
import { link } from './route.js';
import { toast, confirmed, attempt } from './dialogs.js';

// A phone gets few at a time: a list, not a roll.
const first = matchMedia('(max-width: 40rem)').matches ? 20 : 50;

// why says what a delivery waits for, where it is not its due time.
export function why(d, webhooks) {
  if (d.completed_at) return '';
  const w = webhooks.get(d.webhook);
  if (!w || w.removed) return 'its webhook is not configured';
  switch (w.state) {
    case 'paused': return 'webhook is paused';
    case 'disabled': return 'webhook is disabled';
    case 'held': return w.next_probe ? `webhook is held, ${probe(w.next_probe)}` : 'webhook is held';
    default: return '';
  }
}

export const rows = {
  next: '',
  items: [],
  asked: 0,
  shown: 0,
  paging: false,
  webhooks: new Map(),
  atTop() { return this.items.length <= first && !this.paging && !$('detail').open; },
  visible() { return !$('deliveries').hidden; },
  query() {
    const q = new URLSearchParams();
    for (const [key, value] of new FormData($('filter'))) if (value.trim()) q.set(key, value.trim());
    return q;
  },
  // setFilter puts an address's filter into the form.
  setFilter(q) {
    for (const e of $('filter').elements) {
      if (!e.name) continue;
      const value = q.get(e.name) || '';
      if (e.tagName === 'SELECT' && value && ![...e.options].some((o) => o.value === value)) e.append(h('option', { value }, value));
      e.value = value;
    }
    this.load();
  },
  setWebhooks(list) {
    this.webhooks = new Map(list.map((w) => [w.name, w]));
    const select = $('filter').elements.webhook;
    const chosen = select.value;
    const names = list.map((w) => w.name);
    if (chosen && !names.includes(chosen)) names.push(chosen);
    fill(select, names, () => [h('option', { value: '' }, 'any'), ...names.map((n) => h('option', {}, n))]);
    select.value = chosen;
  },
  async load(more) {
    if (!this.visible()) return;
    const turn = ++this.asked;
    const q = this.query();
    const filter = q.toString();
    q.set('limit', String(first));
    q.set('subjects', 'true');
    if (more && this.next) q.set('before', this.next);
    this.paging = more === true;
    const page = await attempt(() => get(`deliveries?${q}`));
    if (turn === this.asked) this.paging = false;
    // Not the newest answer, but one that is newer than what is shown: on a busy agent and a
    // slow line the next question is asked before this one is answered.
    if (!page || turn < this.shown || filter !== this.query().toString()) return;
    this.shown = turn;
    this.items = more ? this.items.concat(page.deliveries) : page.deliveries;
    this.next = page.next || '';
    this.loaded = true;
    this.show();
  },
  show() {
    if (!this.loaded) return;
    fill($('rows').tBodies[0], [this.items, this.items.map((d) => due(d, this.webhooks)), this.next, this.query().toString()], () => (this.items.length ? this.items.map((d) => row(d, this.webhooks))
      : [h('tr', {}, h('td', { colspan: 7, class: 'empty' }, this.next ? 'Nothing found in the newest part; "Show more" continues the search.'
        : [...this.query()].length ? 'No delivery matches.' : 'No deliveries yet.'))]));
    $('more').hidden = !this.next;
    $('rows-note').textContent = this.items.length ? `${count(this.items.length)} shown, newest first.` : '';
  },
};

function due(d, webhooks) {
  if (d.completed_at) return '';
  return why(d, webhooks) || (d.next_attempt_at ? `due ${ago(d.next_attempt_at)}` : '');
}

function row(d, webhooks) {
  const cell = (label, cls, ...children) => h('td', { 'data-label': label, class: cls }, h('span', { class: 'clip' }, ...children));
  const done = d.completed_at ? when(d.completed_at) : due(d, webhooks) || '–';
  return h('tr', { 'data-id': d.id },
    cell('Created', 'created nowrap', when(d.created_at)),
    cell('Event', 'event', h('a', { href: link('deliveries', d.id), 'data-focus': d.id, title: d.event_type }, word(d.event_type)), d.subject && ` ${d.subject}`),
    cell('Webhook', 'webhook', h('a', { href: link('webhooks', d.webhook), class: 'plain', 'data-focus': `${d.id} webhook` }, d.webhook)), cell('Status', 'status', pill(d.status)), cell('Tries', 'tries num', count(d.attempts)),
    cell('Next or done', 'done', done), cell('Response', 'response', d.error_message || d.response_status_code || ''));
}

const deliveries = (n) => `${count(n)} ${n === 1 ? 'delivery' : 'deliveries'}`;

// replayAll queues again what a filter selects, by default the list's, after a question.
export async function replayAll(q = rows.query()) {
  if ([...q].length === 0) { toast('Set a filter first: replaying everything is rarely what you want.'); return; }
  const { count: n } = await get(`count?${q}`);
  if (n === 0) { toast('No delivery matches.'); return; }
  const stopped = stoppedWebhooks(q.get('webhook'));
  const note = stopped.length ? ` Nothing will be sent now to ${stopped.join(', ')}: held, paused or not configured.` : '';
  if (!await confirmed(`Queue ${deliveries(n)} again, under the same ids?${note}`, 'Replay')) return;
  const filter = Object.fromEntries(q);
  if (filter.status) filter.status = [filter.status];
  if (filter.since) filter.since = new Date(Date.now() - parseInt(filter.since, 10) * 3600e3).toISOString();
  const response = await call('replay', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ filter, by: 'dashboard' }) });
  let last = {};
  for await (const line of lines(response.body)) {
    last = JSON.parse(line);
    if (last.error) throw new Error(last.error);
    toast(`Queueing again: ${count(last.done)} of ${count(last.total)} …`);
  }
  if (!last.final) throw new Error('the agent went away; what was queued again stays');
  toast(`${deliveries(last.done)} queued again.${note}`);
  rows.load();
}

const stoppedWebhooks = (only) => [...rows.webhooks.values()]
  .filter((w) => (!only || w.name === only) && (w.removed || ['held', 'paused', 'disabled'].includes(w.state)))
  .map((w) => w.name);
