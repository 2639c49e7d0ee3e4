import { $, h, fill, ago } from './dom.js';
import { post, live } from './api.js';
import { follow, leaveDetail, link } from './route.js';
import { toast, confirmed, attempt } from './dialogs.js';
import { showHealth, showGone } from './health.js';
import { card, sickFirst } from './webhooks.js';
import { charts } from './charts.js';
import { showSources, showAgents, showEvents } from './sources.js';
import { rows, replayAll } from './deliveries.js';
import { rejected } from './rejected.js';
import { journal } from './log.js';
import { openDelivery, openEvent, openTest } from './detail.js';

let status = null; // the latest
let seen = '';
let view = { view: '', id: '' };

const actions = {
  webhooks: () => rows.webhooks,
  pause: (name) => attempt(async () => {
    if (!await confirmed(`Hold the deliveries of ${name} until you resume it?`, 'Pause')) return;
    await post(`webhooks/${encodeURIComponent(name)}/pause`, { reason: 'paused on the dashboard' });
    toast(`${name} is paused.`);
  }),
  resume: (name) => attempt(async () => {
    await post(`webhooks/${encodeURIComponent(name)}/resume`);
    toast(`${name} is resumed.`);
  }),
  test: (name) => attempt(async () => {
    toast(`Sending a sample event to ${name} …`);
    const result = await post(`webhooks/${encodeURIComponent(name)}/test`, {});
    toast(result.delivered ? `${name} took the sample event.` : `${name} did not take the sample event.`);
    openTest(result);
  }),
  replayFailed: (name) => attempt(() => replayAll(new URLSearchParams({ webhook: name, status: 'failed' }))),
  replay: (d) => attempt(async () => {
    await post('replay', { ids: [d.id], by: 'dashboard' });
    const w = rows.webhooks.get(d.webhook);
    if (w && (w.state === 'paused' || w.state === 'held')) {
      toast(`Queued again, but nothing is sent to ${d.webhook} now: it is ${w.state}. `, h('button', { type: 'button', onclick: () => actions.resume(d.webhook) }, 'Resume it'));
    } else if (!w || w.removed || w.state === 'disabled') {
      toast(`Queued again, but nothing is sent to ${d.webhook} now: it is disabled or not in the configuration.`);
    } else {
      toast('Queued again.');
    }
    rows.load();
  }),
};

function showWebhooks() {
  const list = sickFirst(status.webhooks);
  if (list.length === 0) {
    fill($('webhooks'), 'none', () => [h('p', { class: 'empty' }, 'No webhook is configured. Add a [[webhook]] to agent.toml; the agent reads the file when it changes.')]);
  } else {
    fill($('webhooks'), list.map((w) => [w, ago(w.next_probe), ago(w.oldest_due), ago(w.last_failure)]), () => list.map((w) => card(w, actions)));
  }
  if (view.view !== 'webhooks') return;
  const one = status.webhooks.find((w) => w.name === view.id);
  fill($('webhook'), [view.id, one, one && [ago(one.next_probe), ago(one.oldest_due), ago(one.last_failure)]],
    () => [one ? card(one, actions, true) : h('p', { class: 'empty' }, `There is no webhook ${view.id}.`)]);
}

function onStatus(s) {
  status = s;
  document.body.dataset.live = 'true';
  rows.setWebhooks(s.webhooks);
  showHealth(s, actions);
  const banners = s.config.error ? [`The configuration file has errors and is not in force:\n${s.config.error}`] : [];
  fill($('banners'), banners, () => banners.map((text) => h('p', { class: 'banner warn' }, text)));
  showWebhooks();
  showSources(s);
  showAgents(s);
  journal.changed(s.log_revision);
  const now = JSON.stringify([s.counts, s.rejected, s.sources.map((x) => x.queued)]);
  if (now !== seen) {
    seen = now;
    showEvents();
    if (rows.atTop()) rows.load(); else rows.show();
    if (s.rejected !== rejected.count) { rejected.count = s.rejected; rejected.load(); }
  } else {
    rows.show();
  }
}

// show brings up the view that the address names.
function show(r) {
  const known = ['', 'webhooks', 'deliveries', 'rejected', 'log'].includes(r.view);
  view = known ? r : { ...r, view: '' };
  for (const el of document.querySelectorAll('[data-shown]')) el.hidden = !el.dataset.shown.split(' ').includes(view.view);
  for (const a of document.querySelectorAll('nav a')) {
    if (a.dataset.view === view.view) a.setAttribute('aria-current', 'page'); else a.removeAttribute('aria-current');
  }
  if (view.view === 'deliveries') rows.setFilter(view.query);
  if (view.view === 'webhooks') {
    const q = new URLSearchParams(view.query);
    q.set('webhook', view.id);
    rows.setFilter(q);
  }
  if (view.view === 'rejected') rejected.open(view.id);
  charts.show(view);
  if (view.view === '' || view.view === 'log') journal.open(view.view === 'log');
  if (status) showWebhooks();
}

function showDetail(r) {
  if (r === null) { $('detail').close(); return; }
  attempt(() => (r.view === 'events' ? openEvent(r.id, actions) : openDelivery(r.id, actions)));
}

// filtered puts the form's filter into the address; that loads it.
function filtered() {
  const q = rows.query();
  const base = view.view === 'webhooks' && q.get('webhook') === view.id ? link('webhooks', view.id) : link('deliveries');
  if (base !== link('deliveries')) {
    q.delete('webhook');
    if (view.query.get('span')) q.set('span', view.query.get('span'));
  }
  const hash = [...q].length ? `${base}?${q}` : base;
  if (hash === location.hash) rows.load(); else location.hash = hash;
}

$('filter').addEventListener('submit', (e) => { e.preventDefault(); filtered(); });
$('filter').addEventListener('change', filtered);
$('more').addEventListener('click', () => rows.load(true));
$('journal-more').addEventListener('click', () => journal.load(true));
$('rejected-more').addEventListener('click', () => rejected.load(true));
$('rejected-retry').addEventListener('click', () => rejected.retry([]));
$('rejected-discard').addEventListener('click', () => rejected.discard());
$('replay-all').addEventListener('click', () => attempt(() => replayAll()));
$('detail').addEventListener('close', leaveDetail);

follow(show, showDetail);
rejected.load();
showEvents();
live(onStatus, (why) => {
  document.body.dataset.live = 'false';
  const text = why ? `Nothing is shown: ${why}.` : 'The agent does not answer. What you see below is from before; the page reconnects by itself.';
  showGone(text, why);
  fill($('banners'), text, () => [h('p', { class: 'banner' }, text)]);
});
