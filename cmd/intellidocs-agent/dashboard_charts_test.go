package main

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// pointAt moves the mouse to the middle of what a selector finds.
func (b *browser) pointAt(selector string) {
	b.t.Helper()
	at := eval[[]float64](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({ block: 'center' }); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`, selector))
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
}

func TestDashboard_ChartsTellWhatTheQueueCounted(t *testing.T) {
	r, b := failingRig(t)
	r.append(eventLine(1), eventLine(2), eventLine(3))
	b.until("a card's chart", `document.querySelector('[data-webhook=failing] .chart .readout')?.innerText === 'last hour: 0 delivered, 3 failed'`)
	b.pointAt(`#webhooks [data-webhook=failing] .chart .bar-bad:last-child`)
	b.until("a minute's value under the pointer", `/^\d+:\d\d.*: 0 delivered, [1-3] failed, [1-3] of them for good$/.test(document.querySelector('#webhooks [data-webhook=failing] .chart .readout')?.innerText)`)

	b.click(`#webhooks [data-webhook=failing] h3 a`)
	all := `[...document.querySelectorAll('#charts .readout')].map((e) => e.innerText)`
	b.until("its charts", all+`[0] === '0 delivered, 3 failed, 3 of them for good'`)
	b.until("a scale", `document.querySelector('#charts .yaxis')?.innerText.endsWith('0') && document.querySelectorAll('#charts .xaxis span')[2].innerText === 'now'`)
	b.pointAt(`#charts .chart:nth-of-type(2) .bar-p95`)
	b.until("how long they took", all+`.some((text) => /: half within .* 95 % within .* slowest /.test(text))`)
	eval[bool](b, `(document.querySelector('#charts svg').focus(), true)`)
	b.do(chromedp.KeyEvent(kb.Home))
	b.until("the first minute by the keyboard", all+`[0].endsWith(': 0 delivered, 0 failed')`)
	b.shot("charts")

	b.click(`#charts [data-focus="span 30d"]`)
	b.until("thirty days", `location.hash === '#/webhooks/failing?span=30d' && document.querySelector('#charts b')?.innerText === 'Attempts, in six hours' && `+all+`[0] === '0 delivered, 3 failed, 3 of them for good'`)
	// The filter of its deliveries leaves the charts as they are.
	b.do(chromedp.SetValue(chromedp.CSS("#filter [name=status]"), "success"), chromedp.Click(chromedp.CSS("#filter [type=submit]")))
	b.until("the filter in the address", `location.hash === '#/webhooks/failing?status=success&span=30d'`)
	b.click(`#charts [data-focus="span 24h"]`)
	b.until("a day", `document.querySelector('#charts b')?.innerText === 'Attempts, a quarter hour'`)

	// What was counted is there after a kill.
	r.kill(syscall.SIGKILL)
	r.start()
	b.view("#/webhooks/failing")
	b.until("its return", `document.body.dataset.live === 'true' && document.querySelector('#charts b')?.innerText === 'Attempts, a minute' && `+all+`[0] === '0 delivered, 3 failed, 3 of them for good'`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.foreign) > 0 {
		t.Errorf("requests elsewhere %v", b.foreign)
	}
}
