import { $, h, fill, count, bytes, when, ago, pill } from './dom.js';
import { get, post, call, live, lines } from './api.js';
import { card } from './webhooks.js';
import { openDelivery, openEvent, openTest } from './detail.js';

let seen = '';

function toast(text) {
  $('toast').textContent = text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $('toast').textContent = ''; }, 6000);
}

function confirmed(text) {
  const dialog = $('confirm');
  $('confirm-text').textContent = text;
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
}

async function attempt(what) {
  try { return await what(); } catch (e) { toast(`That did not work: ${e.message}`); }
}

const actions = {
  pause: (name) => attempt(async () => {
    if (!await confirmed(`Hold the deliveries of ${name} until it is resumed?`)) return;
    await post(`webhooks/${encodeURIComponent(name)}/pause`, { reason: 'paused on the dashboard' });
    toast(`${name} is paused.`);
  }),
  resume: (name) => attempt(async () => {
    await post(`webhooks/${encodeURIComponent(name)}/resume`);
    toast(`${name} goes on.`);
  }),
  test: (name) => attempt(async () => {
    toast(`Sending a sample event to ${name} …`);
    const result = await post(`webhooks/${encodeURIComponent(name)}/test`, {});
    toast(result.delivered ? `${name} took the sample event.` : `${name} did not take the sample event.`);
    openTest(result);
  }),
  replay: (id) => attempt(async () => {
    await post('replay', { ids: [id], by: 'dashboard' });
    toast('Queued again.');
    rows.load();
  }),
  open: (id) => attempt(() => openDelivery(id, actions)),
  show: (name) => { $('filter').elements.webhook.value = name; rows.load(); $('deliveries').focus(); },
};

function onStatus(s) {
  document.body.dataset.live = 'true';
  $('version').textContent = s.version;
  const waiting = (s.counts.pending || 0) + (s.counts.retrying || 0);
  const health = !s.enabled ? 'disabled in the configuration' : s.ready ? 'ready' : 'not ready';
  fill($('health'), health, () => [pill(health)]);
  $('totals').textContent = `${count(waiting)} waiting, ${count(s.counts.failed)} failed, ${count(s.counts.success)} delivered, queue ${bytes(s.queue.bytes)}`;
  const banners = s.reasons.map((text) => ['', text]);
  if (s.config.error) banners.push(['warn', `The configuration file has errors and is not in force:\n${s.config.error}`]);
  fill($('banners'), banners, () => banners.map(([cls, text]) => h('p', { class: `banner ${cls}` }, text)));
  if (s.webhooks.length === 0) {
    fill($('webhooks'), 'none', () => [h('p', { class: 'empty' }, 'No webhook is configured. Add a [[webhook]] to agent.toml; it is read again when it changes.')]);
  } else {
    fill($('webhooks'), s.webhooks.map((w) => [w, ago(w.next_probe), ago(w.oldest_due), ago(w.last_failure)]), () => s.webhooks.map((w) => card(w, actions)));
  }
  fill($('sources').tBodies[0], [s.enabled, s.sources.map((x) => [x, ago(x.last_record)])], () => (s.sources.length ? s.sources.map(sourceRow)
    : [h('tr', {}, h('td', { colspan: 7, class: 'empty' }, s.enabled ? 'No source is configured. Add a [[source]] to agent.toml.' : 'Nothing is read: agent.toml says enabled = false.'))]));
  names(s.webhooks.map((w) => w.name));
  const now = JSON.stringify([s.counts, s.rejected, s.sources.map((x) => x.queued)]);
  if (now !== seen) {
    seen = now;
    feed();
    if (rows.atTop()) rows.load(); else rows.show();
    if (s.rejected !== rejected.count) { rejected.count = s.rejected; rejected.load(); }
  } else {
    rows.show();
  }
}

function sourceRow(s) {
  const cell = (label, cls, ...children) => h('td', { 'data-label': label, class: cls }, h('span', {}, ...children));
  return h('tr', {},
    cell('Source', '', s.name), cell('State', '', pill(s.ready ? 'ready' : 'not ready'), s.reason ? ` ${s.reason.replaceAll(s.name, 'it')}` : ''),
    cell('Behind', 'num', bytes(s.lag_bytes)), cell('Queued', 'num', count(s.queued)), cell('Skipped', 'num', count(s.skipped)),
    cell('Rejected', 'num', count(s.rejected)), cell('Last record', 'nowrap', ago(s.last_record)));
}

function names(list) {
  const select = $('filter').elements.webhook;
  const chosen = select.value;
  fill(select, list, () => [h('option', { value: '' }, 'any'), ...list.map((n) => h('option', {}, n))]);
  select.value = chosen;
}

async function feed() {
  const { events } = await get('events?limit=8').catch(() => ({ events: null }));
  if (!events) return;
  fill($('events'), events.map((e) => e.id + e.read_at), () => (events.length ? events.map((e) => h('li', {},
    when(e.read_at), h('button', { type: 'button', class: 'link', 'data-focus': e.id, onclick: () => attempt(() => openEvent(e.id, actions)) }, e.event_type),
    h('span', { class: 'muted' }, e.source), h('code', {}, e.id)))
    : [h('li', { class: 'empty' }, 'No event has come in yet. IntelliDocs writes one when its AI has done something.')]));
}

const rows = {
  next: '',
  items: [],
  asked: 0,
  shown: 0,
  paging: false,
  atTop() { return this.items.length <= 50 && !this.paging && !$('detail').open; },
  query() {
    const q = new URLSearchParams();
    for (const [key, value] of new FormData($('filter'))) if (value.trim()) q.set(key, value.trim());
    return q;
  },
  async load(more) {
    const turn = ++this.asked;
    const q = this.query();
    const filter = q.toString();
    q.set('limit', '50');
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
    fill($('rows').tBodies[0], [this.items, this.items.map(due), this.next, this.query().toString()], () => (this.items.length ? this.items.map(deliveryRow)
      : [h('tr', {}, h('td', { colspan: 7, class: 'empty' }, this.next ? 'Nothing found in the newest part; search on with "Show more".'
        : [...this.query()].length ? 'No delivery matches.' : 'No deliveries yet.'))]));
    $('more').hidden = !this.next;
    $('rows-note').textContent = this.items.length ? `${count(this.items.length)} shown, newest first.` : '';
  },
};

const due = (d) => (d.completed_at || !d.next_attempt_at ? '' : `due ${ago(d.next_attempt_at)}`);

function deliveryRow(d) {
  const cell = (label, cls, ...children) => h('td', { 'data-label': label, class: cls }, h('span', { class: 'clip' }, ...children));
  const done = d.completed_at ? when(d.completed_at) : due(d) || '–';
  return h('tr', { 'data-id': d.id },
    cell('Created', 'nowrap', when(d.created_at)),
    cell('Event', '', h('button', { type: 'button', class: 'link', 'data-focus': d.id, onclick: () => actions.open(d.id) }, d.event_type)),
    cell('Webhook', '', d.webhook), cell('Status', '', pill(d.status)), cell('Tries', 'num', count(d.attempts)),
    cell('Next or done', 'nowrap', done), cell('Response', 'response', d.error_message || d.response_status_code || ''));
}

const rejected = {
  count: 0,
  next: '',
  items: [],
  async load(more) {
    const page = await attempt(() => get(`rejected?limit=20${more ? `&before=${encodeURIComponent(this.next)}` : ''}`));
    if (!page) return;
    this.next = page.next || '';
    this.items = more ? this.items.concat(page.rejected) : page.rejected;
    // A record that somebody has open stays the element it is.
    const open = new Map([...$('rejected').children].filter((e) => e.open).map((e) => [e.dataset.id, e]));
    fill($('rejected'), this.items.map((r) => r.id), () => (this.items.length ? this.items.map((r) => open.get(r.id) || rejectedRecord(r))
      : [h('p', { class: 'empty' }, 'None.')]));
    $('rejected-more').hidden = !this.next;
  },
};

// The list has the beginning of a record's text; the rest comes when it is opened.
function rejectedRecord(r) {
  const text = h('pre', { dir: 'auto', tabindex: 0 }, r.text);
  const whole = () => attempt(async () => { text.textContent = (await get(`rejected/${encodeURIComponent(r.id)}`)).text; });
  return h('details', { class: 'rejected', 'data-id': r.id, ontoggle: () => { if (text.textContent === r.text && r.text.endsWith('…')) whole(); } },
    h('summary', { 'data-focus': r.id }, when(r.at), ' ', h('strong', {}, r.reason)),
    h('p', { class: 'muted' }, `${r.path}, offset ${r.offset}, ${bytes(r.size)}, ${r.id}`), text);
}

const deliveries = (n) => `${count(n)} ${n === 1 ? 'delivery' : 'deliveries'}`;

async function replayAll() {
  const q = rows.query();
  if ([...q].length === 0) { toast('Set a filter first: replaying everything is rarely meant.'); return; }
  const { count: n } = await get(`count?${q}`);
  if (n === 0) { toast('No delivery matches.'); return; }
  if (!await confirmed(`Queue ${deliveries(n)} again, under the same ids?`)) return;
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
  toast(`${deliveries(last.done)} queued again.`);
  rows.load();
}

$('filter').addEventListener('submit', (e) => { e.preventDefault(); rows.load(); });
$('filter').addEventListener('change', () => rows.load());
$('more').addEventListener('click', () => rows.load(true));
$('rejected-more').addEventListener('click', () => rejected.load(true));
$('replay-all').addEventListener('click', () => attempt(replayAll));

rows.load();
rejected.load();
feed();
live(onStatus, (why) => {
  document.body.dataset.live = 'false';
  const text = why ? `Nothing is shown: ${why}.` : 'The agent does not answer. What is shown below is from before; it comes back by itself.';
  fill($('health'), text, () => [why ? 'no token' : 'The agent does not answer; trying again …']);
  $('totals').textContent = '';
  fill($('banners'), text, () => [h('p', { class: 'banner' }, text)]);
});
