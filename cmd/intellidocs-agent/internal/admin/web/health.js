// The first line: is anything wrong? The agent decides, this shows it: in the page, in the
// tab's title and in its icon.
import { $, h, fill, count, bytes, ago } from './dom.js';
import { link } from './route.js';

const colours = { good: '#2a9d57', idle: '#8a9199', warn: '#d99a1c', bad: '#d23b30' };

export function showHealth(s, actions) {
  const { level, text, attention } = s.health;
  const box = $('health');
  box.dataset.level = level;
  fill(box, text, () => [text]);
  const sick = attention.filter((a) => a.level === 'bad').length;
  document.title = `${sick ? `(${sick}) ` : ''}intellidocs-agent`;
  icon(level);
  $('version').textContent = s.version;
  const waiting = (s.counts.pending || 0) + (s.counts.retrying || 0);
  fill($('totals'), [waiting, s.counts, s.rejected], () => [
    total(waiting, 'waiting', `${link('deliveries')}?status=pending`), total(s.counts.failed, 'failed', `${link('deliveries')}?status=failed`),
    total(s.counts.success, 'delivered', `${link('deliveries')}?status=success`)]);
  fill($('nav-rejected'), s.rejected, () => [s.rejected ? `Rejected (${count(s.rejected)})` : 'Rejected']);
  fill($('attention'), attention, () => attention.map((a) => item(a, actions)));
  const q = s.queue;
  if (q.engine) {
    fill($('disk'), [q.engine, bytes(q.bytes), bytes(q.max_size), ago(s.started_at)], () => [
      `Counted since the agent started, ${ago(s.started_at)}. The queue uses ${bytes(q.bytes)} of at most ${bytes(q.max_size)} in ${q.engine}.`]);
    return;
  }
  fill($('disk'), [bytes(q.bytes), bytes(q.max_size), bytes(q.disk_free), ago(s.started_at)], () => [
    `Counted since the agent started, ${ago(s.started_at)}. The queue uses ${bytes(q.bytes)} of at most ${bytes(q.max_size)}; ${bytes(q.disk_free)} are free on the disk.`]);
}

export function showGone(text, why) {
  $('health').dataset.level = 'bad';
  fill($('health'), text, () => [why ? 'Not signed in.' : 'The agent does not answer; trying again …']);
  document.title = '(!) intellidocs-agent';
  icon('bad');
  $('totals').replaceChildren();
  $('attention').replaceChildren();
}

const total = (n, word, href) => h('a', { href, class: n ? '' : 'none' }, h('b', {}, count(n)), ` ${word}`);

function item(a, actions) {
  const paused = a.kind === 'webhook' && a.text.startsWith('is paused');
  return h('li', { class: a.level },
    h('div', {}, a.name && h('a', { href: a.kind === 'webhook' ? link('webhooks', a.name) : '#h-sources' }, a.name), a.name && ' ', a.text,
      h('div', { class: 'muted' }, a.hint)),
    paused && h('button', { type: 'button', 'data-focus': `attention ${a.name}`, 'aria-label': `Resume ${a.name} now`, onclick: () => actions.resume(a.name) }, 'Resume'));
}

function icon(level) {
  const href = `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colours[level]}"/></svg>`)}`;
  if ($('icon').href !== href) $('icon').href = href;
}
