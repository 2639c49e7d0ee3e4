// Calls of the agent's API, with the token where the agent asks for one.
import { $ } from './dom.js';

let token = sessionStorage.getItem('token') || '';

export async function call(path, options = {}) {
  for (;;) {
    const headers = { ...(options.headers || {}) };
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(`api/v1/${path}`, { ...options, headers });
    if (response.status !== 401) return response;
    await askToken();
  }
}

export async function get(path) { return read(await call(path)); }

export async function post(path, body) {
  return read(await call(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body || {}) }));
}

async function read(response) {
  const data = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(data.error || `the agent answered ${response.status}`);
  return data;
}

let asking = null;
function askToken() {
  asking ??= new Promise((resolve) => {
    $('token').showModal();
    $('token-form').addEventListener('submit', (e) => {
      e.preventDefault();
      token = $('token-value').value.trim();
      sessionStorage.setItem('token', token);
      $('token-value').value = '';
      $('token').close();
      asking = null;
      resolve();
    }, { once: true });
  });
  return asking;
}

// live gives every status the agent streams, and says when it goes away and comes back.
export async function live(onStatus, onGone) {
  for (;;) {
    try {
      const response = await call('stream');
      if (!response.ok) throw new Error(`the agent answered ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const data = text.slice(0, end).split('\n').find((l) => l.startsWith('data: '));
          if (data) onStatus(JSON.parse(data.slice(6)));
        }
      }
    } catch { /* said below; the next round tries again */ }
    onGone();
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}
