// Records that were meant as events and could not be read as one.
import { $, h, fill, bytes, count, when } from './dom.js';
import { get, post } from './api.js';
import { link } from './route.js';
import { toast, attempt, confirmed, copyButton } from './dialogs.js';

export const rejected = {
  count: 0,
  next: '',
  items: [],
  wanted: '', // the one that the address names
  async load(more) {
    const page = await attempt(() => get(`rejected?limit=20${more ? `&before=${encodeURIComponent(this.next)}` : ''}`));
    if (!page) return;
    this.next = page.next || '';
    this.items = more ? this.items.concat(page.rejected) : page.rejected;
    await this.include();
    this.show();
  },
  show() {
    // A record that somebody has open stays the element it is.
    const open = new Map([...$('rejected').children].filter((e) => e.open).map((e) => [e.dataset.id, e]));
    fill($('rejected'), this.items.map((r) => r.id), () => (this.items.length ? this.items.map((r) => open.get(r.id) || record(r))
      : [h('p', { class: 'empty' }, 'None.')]));
    $('rejected-more').hidden = !this.next;
    for (const id of ['rejected-retry', 'rejected-discard']) $(id).hidden = this.items.length === 0;
  },
  // include brings an old record that the address names into the list, and opens it.
  async include() {
    if (!this.wanted) return;
    if (!this.items.some((r) => r.id === this.wanted)) {
      const one = await attempt(() => get(`rejected/${encodeURIComponent(this.wanted)}`));
      if (one) this.items = [one, ...this.items];
    }
  },
  async open(id) {
    this.wanted = id;
    if (!id) return;
    await this.include();
    this.show();
    const el = [...$('rejected').children].find((e) => e.dataset.id === id);
    if (el) { el.open = true; el.scrollIntoView({ block: 'nearest' }); }
  },
  retry: (ids) => attempt(async () => {
    const { tried, queued } = await post('rejected/retry', { ids });
    toast(queued ? `${queued} of ${tried} read as events now.` : `${tried === 1 ? 'It' : 'They'} still cannot be read as an event.`);
    rejected.load();
  }),
  // discard forgets these, or all.
  discard: (ids) => attempt(async () => {
    const which = ids || rejected.count === 1 ? 'this record' : `all ${count(rejected.count)} rejected records`;
    if (!await confirmed(`Delete ${which} for good?`, 'Delete')) return;
    const { changed } = await post('rejected/discard', { ids });
    toast(`${count(changed)} deleted.`);
    history.replaceState(null, '', link('rejected'));
    rejected.wanted = '';
    rejected.load();
  }),
};

// The list has the beginning of a record's text; the rest comes when it is opened.
function record(r) {
  const text = h('pre', { dir: 'auto', tabindex: 0 }, r.text);
  const whole = () => attempt(async () => { text.textContent = (await get(`rejected/${encodeURIComponent(r.id)}`)).text; });
  const opened = (e) => {
    if (!e.target.open) return;
    history.replaceState(null, '', link('rejected', r.id));
    if (text.textContent === r.text && r.text.endsWith('…')) whole();
  };
  return h('details', { class: 'rejected', 'data-id': r.id, ontoggle: opened },
    h('summary', { 'data-focus': r.id }, when(r.at), ' ', h('strong', {}, r.reason)),
    h('p', { class: 'muted' }, `${r.path}, offset ${r.offset}, ${bytes(r.size)}, ${r.id}`),
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'quiet', 'aria-label': `Retry ${r.id}`, onclick: () => rejected.retry([r.id]) }, 'Retry'), h('button', { type: 'button', class: 'quiet', 'aria-label': `Delete ${r.id}`, onclick: () => rejected.discard([r.id]) }, 'Delete…'), copyButton('Copy', () => text.textContent)),
    text);
}
