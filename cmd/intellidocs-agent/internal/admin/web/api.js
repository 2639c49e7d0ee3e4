// Calls of the agent's API, with the token where the agent asks for one.
import { $ } from './dom.js';

let token = sessionStorage.getItem('token') || '';

// 'intellidocs-agent dashboard' prints the address with the token in its fragment. It is kept for
// this tab's session and taken out of the address, which people copy and bookmark.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return;
  token = given;
  sessionStorage.setItem('token', token);
  history.replaceState(null, '', location.pathname + location.search);
}
takeToken();
addEventListener('hashchange', () => {
  takeToken();
  if ($('token').open) $('token').close();
});
let refused = false; // a person closed the question: only what they do themselves asks again

export async function call(path, options = {}) {
  for (;;) {
    const used = token;
    const headers = { ...(options.headers || {}) };
    if (used) headers.Authorization = `Bearer ${used}`;
    const response = await fetch(`api/v1/${path}`, { ...options, headers });
    if (response.status !== 401) return response;
    if (used !== token) continue; // given meanwhile
    if (refused && options.method !== 'POST') throw new Error('the agent asks for its token; reload the page to give it');
    await askToken(used);
  }
}

export async function get(path) { return read(await call(path)); }

// getExact keeps numbers as they were written, where the browser can: an integer beyond
// 2^53 would otherwise be shown as another one.
export async function getExact(path) {
  const response = await call(path);
  const text = await response.text();
  const data = JSON.parse(text);
  if (!response.ok) throw new Error(data.error);
  const raw = JSON.rawJSON && JSON.parse(text, (_, v, c) => (typeof v === 'number' && c ? JSON.rawJSON(c.source) : v));
  return [data, raw || data];
}

export async function post(path, body) {
  return read(await call(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body || {}) }));
}

async function read(response) {
  const data = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(data.error || `the agent answered ${response.status}`);
  return data;
}

let asking = null;
function askToken(wrong) {
  asking ??= new Promise((resolve, reject) => {
    $('token-wrong').textContent = wrong ? 'This is not the token.' : '';
    const answered = new AbortController();
    $('token-form').addEventListener('submit', (e) => {
      e.preventDefault();
      token = $('token-value').value.trim();
      sessionStorage.setItem('token', token);
      refused = false;
      $('token').close();
    }, answered);
    $('token').addEventListener('close', () => {
      answered.abort();
      asking = null;
      $('token-value').value = '';
      if (token !== wrong) return resolve(); // given meanwhile, by the form or by the address
      refused = true;
      reject(new Error('the agent asks for its token'));
    }, answered);
    $('token').showModal();
  });
  return asking;
}

// lines yields a body's lines as they come.
export async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) {
      if (end > 0) yield text.slice(0, end);
    }
  }
}

// live yields every status the agent streams, and says when it goes away and comes back.
export async function live(onStatus, onGone) {
  for (;;) {
    try {
      const response = await call('stream');
      if (!response.ok) throw new Error(`the agent answered ${response.status}`);
      for await (const line of lines(response.body)) {
        if (line.startsWith('data: ')) onStatus(JSON.parse(line.slice(6)));
      }
      onGone();
    } catch (e) {
      if (!(e instanceof TypeError && e.message.includes('fetch'))) console.warn(e); // a fault of the page's own
      onGone(refused ? e.message : '');
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}
