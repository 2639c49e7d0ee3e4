// What happened to the agent itself, in order: the latest on the overview, all of it as a view.
import { $, h, fill, count, when, ago } from './dom.js';
import { get } from './api.js';
import { link } from './route.js';

const few = 6;
const many = 50;

export const journal = {
  revision: -1,
  all: false,
  next: '',
  items: [],
  // open shows all of it, or the latest.
  open(all) {
    this.all = all;
    this.load();
  },
  changed(revision) {
    if (revision === this.revision) return;
    this.revision = revision;
    if (this.items.length <= many) this.load();
  },
  async load(more) {
    const page = await get(`log?limit=${this.all ? many : few}${more ? `&before=${this.next}` : ''}`).catch(() => null);
    if (!page) return;
    this.items = more ? this.items.concat(page.entries) : page.entries;
    this.next = page.next || '';
    this.show();
  },
  show() {
    for (const id of ['journal', 'journal-all']) {
      const items = id === 'journal' ? this.items.slice(0, few) : this.items;
      fill($(id), items, () => (items.length ? items.map(entry) : [h('li', { class: 'empty' }, 'Nothing yet.')]));
    }
    $('journal-more').hidden = !this.next || !this.all;
  },
};

// where is what an entry leads to: what somebody would look at next.
function where(e) {
  if (e.kind === 'record_rejected') return ['the rejected records', link('rejected')];
  if (e.kind === 'delivery_failed') return ['the failed deliveries', `${link('webhooks', e.webhook)}?status=failed`];
  if (e.webhook) return ['the webhook', link('webhooks', e.webhook)];
  return e.source ? ['the sources', '#h-sources'] : null;
}

function entry(e) {
  const to = where(e);
  return h('li', { class: e.bad ? 'bad' : '' }, when(e.at),
    h('div', {}, to ? h('a', { href: to[1], title: `Open ${to[0]}`, 'data-focus': `log ${e.n}` }, e.text) : e.text,
      e.count > 1 && h('span', { class: 'muted' }, ` ${count(e.count)} times, last ${ago(e.last)}`),
      e.detail && h('div', { class: 'muted', dir: 'auto' }, e.detail)));
}
