// Every view has an address, so that it can be pasted into a ticket and the browser's back
// and forward work:
//
//   #/                      overview
//   #/webhooks/NAME?FILTER  one webhook and its deliveries; span=24h, 30d: its charts' time
//   #/deliveries?FILTER     deliveries, filtered
//   #/deliveries/ID         one delivery, in a dialog over the view before it
//   #/events/ID             one event, likewise
//   #/rejected, #/rejected/ID
//   #/log                   what happened to the agent

export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [view = '', id = ''] = path.split('/').map(decoded);
  return { view, id, query: new URLSearchParams(query) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export const link = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;

// isDetail reports whether a route is shown in a dialog.
export const isDetail = (r) => r.view === 'events' || (r.view === 'deliveries' && r.id !== '');

let under = '#/'; // the view below a dialog

// follow calls view with each route that is a view and detail with each that is a dialog,
// or null once it is left. The view below a dialog stays as it is.
export function follow(view, detail) {
  let shown = null;
  const turn = () => {
    const r = parse(location.hash);
    if (isDetail(r)) {
      if (shown === null) view(parse(under = shown = link('deliveries'))); // the page was opened at it
      detail(r);
      return;
    }
    detail(null);
    under = location.hash || '#/';
    if (shown !== under) view(r);
    shown = under;
  };
  addEventListener('hashchange', turn);
  turn();
}

// leaveDetail returns to the view below the dialog.
export function leaveDetail() {
  if (isDetail(parse(location.hash))) location.hash = under;
}
