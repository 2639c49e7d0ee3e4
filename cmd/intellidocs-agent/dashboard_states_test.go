package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// wantReachable goes round the page with Tab and checks that it comes by every control
// in sight.
func (b *browser) wantReachable() {
	b.t.Helper()
	const controls = `[...document.querySelectorAll('main a, main button, main input, main select, main summary')].filter((e) => e.checkVisibility())`
	n := eval[int](b, controls+`.length`)
	eval[bool](b, `window.came = new Set(), document.activeElement.blur(), true`)
	for range 2*n + 20 {
		b.do(chromedp.KeyEvent(kb.Tab))
		// By label and not by element: what is live may have been drawn again meanwhile.
		eval[bool](b, `(came.add(document.activeElement.dataset.focus || document.activeElement), true)`)
	}
	if missed := eval[[]string](b, controls+`.filter((e) => !came.has(e.dataset.focus || e)).map((e) => e.outerHTML)`); len(missed) > 0 {
		b.t.Errorf("Tab does not come to %v", missed)
	}
}

func TestDashboard_TellsOfEveryState(t *testing.T) {
	_, failing := newRecorder(t, receiver.Options{Status: 503})
	more := fmt.Sprintf("[[webhook]]\nname = \"sick\"\nurl = %q\nsecret = %q\nbreaker_failures = 1\n", failing, testSecret)
	r := newRig(t, more)
	addr := r.listening()
	r.start()
	r.answering(addr)
	b := newBrowser(t, addr, r.token())

	// The focus stays where it is while the page changes under it.
	eval[bool](b, `(document.querySelector('button[aria-label="Pause main"]').focus(), true)`)
	r.append(eventLine(1))
	b.until("the webhook to be held", `document.querySelector('[data-webhook=sick] .pill').innerText === 'held' && document.querySelector('[data-webhook=sick]').innerText.includes('next try')`)
	b.until("the delivery", `document.querySelector('[data-webhook=main] dl').innerText.includes('delivered\n1')`)
	if focus := eval[string](b, `document.activeElement.getAttribute('aria-label') || document.activeElement.tagName`); focus != "Pause main" {
		t.Errorf("the focus went to %s", focus)
	}
	b.shot("held")

	// So it does when a dialog closes, where the row that opened it was drawn again.
	b.view("#/deliveries?webhook=sick")
	b.until("its delivery", `document.querySelector('#rows td.done')?.innerText.includes('webhook is held')`)
	for opened := false; !opened; { // the row may be drawn again in between
		eval[bool](b, `(document.querySelector('#rows td.event a').focus(), true)`)
		b.do(chromedp.KeyEvent(kb.Enter))
		time.Sleep(100 * time.Millisecond)
		opened = eval[bool](b, `location.hash.startsWith('#/deliveries/dlv_')`)
	}
	b.until("the dialog", `document.querySelector('#detail').open`)
	eval[bool](b, `(window.row = document.querySelector('#rows td.event a'), true)`)
	b.until("the row to be drawn again", `!window.row.isConnected`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("the focus to return", `!document.querySelector('#detail').open && document.activeElement === document.querySelector('#rows td.event a')`)
	b.view("#/")

	good, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(good) + "colour = \"blue\"\n")
	b.until("the error", `document.querySelector('#banners').innerText.includes('not in force') && document.querySelector('#banners').innerText.includes('colour')`)
	b.shot("config-error")
	write(strings.Replace(string(good), more, "", 1))
	b.until("the file's being good again", `document.querySelector('#banners').innerText === ''`)
	b.until("who waits for it", `document.querySelector('#attention').innerText.includes('1 delivery waits for it')`)
	b.until("the webhook's removal", `document.querySelector('[data-webhook=sick]').innerText.includes('removed') && !document.querySelector('[data-webhook=sick] button[aria-label^=Pause]')`)
	write("enabled = false\n" + string(good))
	b.until("the switched-off agent", `document.querySelector('#health').innerText.includes('switched off') && document.querySelector('#sources').innerText.includes('enabled = false')`)
	b.shot("disabled")

	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 || len(b.foreign) > 0 {
		t.Errorf("faults %v, requests elsewhere %v", b.faults, b.foreign)
	}
}

func TestDashboard_WithoutAWebhookShowsWhatComesIn(t *testing.T) {
	r := newRig(t, "")
	data, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	bare, webhook, _ := strings.Cut(string(data), "[[webhook]]")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bare)
	addr := r.listening()
	r.start()
	r.answering(addr)
	b := newBrowser(t, addr, r.token())
	b.until("what to do", `document.querySelector('#webhooks').innerText.includes('Add a [[webhook]] to agent.toml')`)
	b.until("what is missing", `document.querySelector('#health').innerText.includes('No webhook is configured')`)
	r.append(eventLine(1))
	b.until("the event", `document.querySelector('#events li a')?.innerText === 'chaos'`)
	b.click("#events li a")
	b.until("its payload", `document.querySelector('#detail').open && document.querySelector('#detail-body').innerText.includes('No webhook wanted this event') && document.querySelector('#payload').innerText.includes('"n": 1')`)
	b.shot("no-webhook")
	b.click("#detail form button")
	b.wantReachable()
	b.view("#/deliveries")
	b.until("no delivery", `document.querySelector('#rows').innerText.includes('No deliveries yet')`)

	// The first webhook is there as soon as the file names it, and gets what comes then.
	data, err = os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	b.view("#/")
	write(string(data) + "[[webhook]]" + webhook)
	b.until("the webhook", `document.querySelector('[data-webhook=main]')`)
	r.append(eventLine(2))
	b.view("#/deliveries")
	b.until("its delivery", `document.querySelectorAll('#rows tbody tr[data-id]').length === 1`)
	b.view("#/")
	b.until("both events", `document.querySelectorAll('#events li a').length === 2`)
	b.click("#events li a")
	b.until("the event's delivery", `document.querySelector('#detail-body .plain a')?.innerText === 'main'`)
	b.click("#detail-body .plain a")
	b.until("the delivery whole", `document.querySelector('#detail-title').innerText === 'chaos to main' && document.querySelector('#detail-body').innerText.includes('HTTP 200')`)

	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 || len(b.foreign) > 0 {
		t.Errorf("faults %v, requests elsewhere %v", b.faults, b.foreign)
	}
}
