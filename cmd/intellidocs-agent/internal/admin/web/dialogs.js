// What the page says and asks.
import { $, h } from './dom.js';

// toast is a popover, so that it lies above an open dialog.
export function toast(text, ...actions) {
  const box = $('toast');
  box.replaceChildren(text, ...actions);
  if (box.matches(':popover-open')) box.hidePopover();
  box.showPopover();
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidePopover(); box.replaceChildren(); }, actions.length ? 15000 : 6000);
}

// modal opens a dialog. Once it closes, what had the focus before has it again, also where it was
// made again meanwhile.
export function modal(dialog) {
  const from = document.activeElement?.dataset.focus;
  dialog.showModal();
  dialog.addEventListener('close', () => {
    if (from) [...document.querySelectorAll('[data-focus]')].find((e) => e.dataset.focus === from && e.checkVisibility())?.focus({ preventScroll: true });
  }, { once: true });
}

// confirmed asks before something that is hard to undo; yes names what will be done.
export function confirmed(text, yes) {
  const dialog = $('confirm');
  $('confirm-text').textContent = text;
  dialog.querySelector('[value=yes]').textContent = yes;
  dialog.returnValue = 'no';
  modal(dialog);
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
}

// attempt runs what may fail and says so if it does.
export async function attempt(what) {
  try { return await what(); } catch (e) { toast(`That did not work: ${e.message}`); return undefined; }
}

// copy puts a text into the clipboard; text may be a function that makes it.
export const copyButton = (label, text) => h('button', {
  type: 'button', class: 'quiet', onclick: () => attempt(async () => {
    await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
    toast('Copied.');
  }),
}, label);
