package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
)

// night is somebody who is on call: they begin at the overview, and clicks are few.
type night struct {
	*browser
	clicks int
}

func (n *night) begin() {
	n.t.Helper()
	n.view("#/")
	n.until("the overview", `document.querySelector('#webhooks').checkVisibility()`)
	n.clicks = 0
}

func (n *night) click(selector string) {
	n.t.Helper()
	n.until(selector, fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
	if n.clicks++; n.clicks > 4 {
		n.t.Errorf("%s is click %d", selector, n.clicks)
	}
	n.browser.click(selector)
}

// Whatever went wrong, the page says why, and it is put right within four clicks of it.
func TestDashboard_FourClicksFromABadNightToItsCauseAndItsRepair(t *testing.T) {
	var well atomic.Bool
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, _ = io.Copy(io.Discard, r.Body); {
		case well.Load():
		case r.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		case r.URL.Path == "/busy":
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "the database is locked")
		}
	}))
	t.Cleanup(sick.Close)
	text := ""
	for name, more := range map[string]string{"erp": "max_retries = 0\nbreaker_failures = 0\n", "gone": "", "busy": "", "down": "breaker_failures = 1\n"} {
		text += fmt.Sprintf("[[webhook]]\nname = %q\nurl = \"%s/%s\"\n%s", name, sick.URL, name, more)
	}
	r := newRig(t, text)
	addr := r.listening()
	r.start()
	r.answering(addr)
	r.append(eventLine(1), eventLine(2), `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":`)
	n := &night{browser: newBrowser(t, addr, r.token())}

	// All of the causes stand on the first page.
	cause := func(name, text string) {
		t.Helper()
		n.until("the cause of "+name, fmt.Sprintf(`[...document.querySelectorAll('#attention li')].some((e) => e.innerText.startsWith(%q) && e.innerText.includes(%q))`, name+" ", text))
	}
	cause("erp", "the database is locked")
	cause("gone", "410 Gone")
	cause("busy", "429 Too Many Requests")
	cause("down", "the database is locked")
	n.until("the sentence", `document.querySelector('#health').innerText.startsWith('4 webhooks need attention: ')`)
	n.shot("night")

	// A restart heals nothing, and hides nothing.
	r.kill(syscall.SIGKILL)
	r.start()
	n.until("its return", `document.querySelector('#health').innerText.startsWith('4 webhooks need attention: ')`)
	cause("erp", "the database is locked")
	cause("down", "the database is locked")
	cause("gone", "410 Gone")
	cause("busy", "429 Too Many Requests")

	// What a receiver answered, whole.
	n.begin()
	n.click(`#attention a[href="#/webhooks/erp"]`)
	n.click(`#rows td.event a`)
	n.until("the answer", `document.querySelector('#attempts .response pre')?.innerText.includes('HTTP/1.1 500 Internal Server Error') && document.querySelector('#attempts .response pre').innerText.includes('the database is locked')`)
	n.browser.click("#detail form button")

	well.Store(true)

	// Given up: replayed at once.
	n.begin()
	n.click(`#attention a[href="#/webhooks/erp"]`)
	n.click(`#webhook [data-focus="alone Replay failed erp"]`)
	n.until("the question", `document.querySelector('#confirm-text').innerText.startsWith('Queue 2 deliveries again')`)
	n.click(`#confirm [value=yes]`)
	n.until("erp to be well", `document.querySelector('#webhook .pill')?.innerText === 'healthy' && document.querySelector('#webhook dl').innerText.includes('delivered\n2') && !document.querySelector('#webhook [data-focus="alone Replay failed erp"]')`)

	// Paused by a 410: resumed, and the one that met the 410 replayed.
	n.begin()
	n.click(`#attention button[aria-label="Resume gone now"]`)
	n.click(`#webhooks [data-webhook=gone] h3 a`)
	n.click(`#webhook [data-focus="alone Replay failed gone"]`)
	n.click(`#confirm [value=yes]`)
	n.until("gone to be well", `document.querySelector('#webhook .pill')?.innerText === 'healthy' && document.querySelector('#webhook dl').innerText.includes('delivered\n2')`)

	// Held for an hour: resumed at once.
	n.begin()
	n.click(`#webhooks button[aria-label="Resume busy"]`)
	n.until("busy to be well", `document.querySelector('#webhooks [data-webhook=busy] .pill')?.innerText === 'healthy' && document.querySelector('#webhooks [data-webhook=busy] dl').innerText.includes('delivered\n2')`)

	// Held by its breaker: by itself.
	n.until("down to be well", `document.querySelector('#webhooks [data-webhook=down] .pill')?.innerText === 'healthy' && document.querySelector('#webhooks [data-webhook=down] dl').innerText.includes('delivered\n2')`)

	// A record that cannot be read: seen, and given up.
	n.begin()
	n.click(`#nav-rejected`)
	n.click(`#rejected summary`)
	n.until("why", `document.querySelector('#rejected details').innerText.includes('not valid JSON')`)
	n.click(`#rejected button[aria-label^=Delete]`)
	n.click(`#confirm [value=yes]`)
	n.until("nothing wrong any more", `document.querySelector('#health').innerText.startsWith('Nothing is wrong') && document.querySelector('#nav-rejected').innerText === 'Rejected'`)
}
