// Where events come from: the sources as a table, and the latest events.
import { $, h, fill, count, bytes, when, ago, pill, word } from './dom.js';
import { get } from './api.js';
import { link } from './route.js';

export function showSources(s) {
  fill($('sources').tBodies[0], [s.enabled, s.sources.map((x) => [x, ago(x.last_record)])], () => (s.sources.length ? s.sources.map(row)
    : [h('tr', {}, h('td', { colspan: 8, class: 'empty' }, s.enabled ? 'No source is configured. Add a [[source]] to agent.toml.' : 'Nothing is read: agent.toml says enabled = false.'))]));
}

// showAgents lists those that share the queue; there is nothing to show where it has one alone.
export function showAgents(s) {
  const agents = s.agents || [];
  $('fleet').hidden = agents.length === 0;
  fill($('agents').tBodies[0], agents.map((a) => [a.name, a.version, a.state, ago(a.seen), a.webhooks, a.sources]), () => agents.map(agent));
}

function agent(a) {
  const cell = (label, cls, ...children) => h('td', { 'data-label': label, class: cls }, h('span', {}, ...children));
  const lag = a.sources.reduce((sum, x) => sum + x.lag_bytes, 0);
  const bad = a.sources.filter((x) => !x.ready).length;
  return h('tr', {},
    cell('Agent', '', a.name), cell('State', '', pill(a.state)), cell('Webhooks', '', a.webhooks.join(', ') || '–'),
    cell('Sources', 'num', bad ? `${a.sources.length}, ${bad} not readable` : count(a.sources.length)), cell('Behind', 'num', bytes(lag)),
    cell('Seen', 'nowrap', ago(a.seen)), cell('Version', '', a.version));
}

function row(s) {
  const cell = (label, cls, ...children) => h('td', { 'data-label': label, class: cls }, h('span', {}, ...children));
  const waiting = s.ready && s.reason;
  const state = s.elsewhere ? pill('idle', 'read by another agent') : waiting ? pill('idle', 'waiting for the file') : pill(s.ready ? 'ready' : 'not ready', s.ready ? 'reading' : 'not readable');
  return h('tr', {},
    cell('Source', '', s.name), cell('State', '', state, !waiting && s.reason ? ` ${s.reason.replaceAll(s.name, 'it')}` : '', s.warning ? ` ${s.warning.replaceAll(s.name, 'it')}` : ''),
    cell('Behind', 'num', bytes(s.lag_bytes)), cell('Queued', 'num', count(s.queued)), cell('Skipped', 'num', count(s.skipped)),
    cell('Rejected', 'num', count(s.rejected)), cell('Gaps', 'num', count(s.gaps)), cell('Last record', 'nowrap', ago(s.last_record)));
}

export async function showEvents() {
  const { events } = await get('events?limit=8').catch(() => ({ events: null }));
  if (!events) return;
  fill($('events'), events.map((e) => e.id + e.read_at), () => (events.length ? events.map((e) => h('li', {},
    when(e.read_at), h('a', { href: link('events', e.id), 'data-focus': e.id, title: e.event_type }, word(e.event_type)), h('span', {}, e.subject), h('span', { class: 'muted' }, e.source)))
    : [h('li', { class: 'empty' }, 'No event yet. IntelliDocs writes one when its AI has done something.')]));
}
