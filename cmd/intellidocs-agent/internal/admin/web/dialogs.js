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

// modal opens a dialog, whose closed is a promise that it was closed. Once it is, what had the
// focus before has it again, also where it was made again meanwhile.
export function modal(dialog) {
  const from = document.activeElement?.dataset.focus;
  dialog.showModal();
  dialog.closed = new Promise((resolve) => dialog.addEventListener('close', () => {
    if (from) [...document.querySelectorAll('[data-focus]')].find((e) => e.dataset.focus === from && e.checkVisibility())?.focus({ preventScroll: true });
    resolve();
  }, { once: true }));
}

// confirmed asks before something that is hard to undo; yes names what will be done.
export async function confirmed(text, yes) {
  const dialog = $('confirm');
  await dialog.closed; // its event comes later than the closing, and would be taken for the next answer
  $('confirm-text').textContent = text;
  dialog.querySelector('[value=yes]').textContent = yes;
  dialog.returnValue = 'no';
  modal(dialog);
  await dialog.closed;
  return dialog.returnValue === 'yes';
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
