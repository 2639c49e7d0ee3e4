package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// browser is a page of Debian's Chromium, and what it complained of or asked others for.
type browser struct {
	t    testing.TB
	ctx  context.Context
	addr string

	mu      sync.Mutex
	faults  []string
	foreign []string
}

// newBrowser opens the page at the address that the dashboard command prints, where there is a token.
func newBrowser(t testing.TB, addr, token string) *browser {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs Chromium (apt-get install chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 1000),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-background-networking", true))
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	b := &browser{t: t, addr: addr}
	ctx, cancelPage := chromedp.NewContext(alloc, chromedp.WithListener(b.event))
	t.Cleanup(cancelPage)
	b.ctx = ctx
	// The first run starts the browser and must not have a deadline, see chromedp.Run.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(admin.WithToken("http://"+addr+"/", token)))
	if token != "" {
		b.until("the page to be live", `document.body.dataset.live === 'true'`)
	}
	return b
}

func (b *browser) event(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, fmt.Sprintf("%+v", ev.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		for _, arg := range ev.Args {
			b.faults = append(b.faults, fmt.Sprint(ev.Type, " ", arg.Description, string(arg.Value)))
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelVerbose {
			b.faults = append(b.faults, ev.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if u := ev.Request.URL; !strings.HasPrefix(u, "http://"+b.addr+"/") && !strings.HasPrefix(u, "data:") {
			b.foreign = append(b.foreign, u)
		}
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.shot("failed")
		b.t.Fatal(err)
	}
}

// view follows an address within the page, as a link or a bookmark would.
func (b *browser) view(hash string) {
	b.t.Helper()
	eval[string](b, fmt.Sprintf("location.hash = %q", hash))
}

// eval returns a JavaScript expression's value.
func eval[T any](b *browser, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

func (b *browser) until(what, js string) {
	b.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !eval[bool](b, "!!("+js+")") {
		if time.Now().After(deadline) {
			b.shot("failed")
			b.t.Fatalf("waited for %s: %s\nfaults: %v", what, js, b.faults)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// click clicks what a selector finds, as a person would.
func (b *browser) click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 60*time.Second)
	defer cancel()
	for {
		err := chromedp.Do(ctx, chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
		if err == nil {
			return
		}
		// What is live may be drawn again between finding it and clicking it; a person would
		// click again.
		if !strings.Contains(err.Error(), "-32000") || ctx.Err() != nil {
			b.shot("failed")
			b.t.Fatalf("click %s: %v", selector, err)
		}
	}
}

// shot keeps a screenshot for people to look at.
func (b *browser) shot(name string) {
	dir := os.Getenv("CI_ARTEFACTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "dashboard-"+name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Logf("screenshot %s: %v", name, err)
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listening makes the rig's agent serve the dashboard.
func (r *rig) listening() string {
	r.t.Helper()
	addr := freePort(r.t)
	data, err := os.ReadFile(r.toml)
	if err != nil {
		r.t.Fatal(err)
	}
	text := strings.Replace(string(data), `listen = ""`, fmt.Sprintf("listen = %q", addr), 1)
	if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return addr
}

// token is the one that the agent made.
func (r *rig) token() string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, "state", admin.TokenName))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func (r *rig) answering(addr string) {
	r.t.Helper()
	r.until("the agent to answer", 30*time.Second, func() bool {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

const hostile = `<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> \u202eright to left \u0634\u0643\u0631\u0627`

// failingRig is a running agent, of whose two webhooks "failing" never takes anything, and its page.
func failingRig(t *testing.T) (*rig, *browser) {
	t.Helper()
	_, failing := newRecorder(t, receiver.Options{Status: 500})
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"failing\"\nurl = %q\nsecret = %q\nmax_retries = 0\nbreaker_failures = 0\n", failing, testSecret))
	addr := r.listening()
	r.start()
	r.answering(addr)
	return r, newBrowser(t, addr, r.token())
}

func TestDashboard_EveryControlDoesWhatItSays(t *testing.T) {
	r, b := failingRig(t)
	b.until("the empty state", `document.querySelector('#health').innerText.includes('Nothing is wrong') && document.querySelector('#health').dataset.level === 'idle' && document.querySelector('[data-webhook=main] .pill').innerText === 'no deliveries yet'`)
	b.shot("empty")
	b.click(`nav a[data-view=rejected]`)
	b.until("no rejected record", `document.querySelector('#rejected').innerText.includes('None')`)
	b.click(`nav a[data-view=deliveries]`)
	b.until("no delivery", `document.querySelector('#rows').innerText.includes('No deliveries yet')`)

	r.append(eventLine(1), eventLine(2),
		`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":"`+hostile+`","document":{"id":77,"title":"<b>Invoice</b>"},"timestamp":"2025-11-14T15:00:00Z","big":12345678901234567890,"text":"`+hostile+strings.Repeat("long", 3000)+`"}`,
		`[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type":"broken `+hostile+strings.Repeat(" long", 300)+` its end", `)
	b.until("the deliveries", `document.querySelectorAll('#rows tbody tr[data-id]').length === 6`)
	b.until("what an event is about", `document.querySelector('#rows').innerText.includes('“<b>Invoice</b>” #77')`)
	b.view("#/")
	b.until("the failures", `document.querySelector('[data-webhook=failing]').innerText.includes('retrying')`)
	b.until("the sentence", `document.querySelector('#health').innerText === '1 webhook needs attention: failing.' && document.querySelector('#attention').innerText.includes('HTTP 500')`)
	b.until("what is sick first", `document.querySelector('#webhooks article').dataset.webhook === 'failing'`)
	b.until("the feed", `document.querySelectorAll('#events li time').length === 3`)
	b.shot("live")
	b.until("the number of rejected records", `document.querySelector('#nav-rejected').innerText === 'Rejected (1)'`)
	b.click(`nav a[data-view=rejected]`)
	b.until("the rejected record", `document.querySelector('#rejected details')`)
	b.click("#rejected summary")
	b.until("the offending text", `document.querySelector('#rejected pre').innerText.includes('broken <img')`)
	b.until("all of it", `document.querySelector('#rejected pre').innerText.includes('its end')`)
	b.until("its address", `location.hash.startsWith('#/rejected/rej_')`)
	b.shot("rejected")
	b.click(`#rejected button[aria-label^=Retry]`)
	b.until("the retry's word", `document.querySelector('#toast').innerText.includes('still cannot be read')`)
	b.click(`#rejected button[aria-label^=Delete]`)
	b.until("the question", `document.querySelector('#confirm').open && document.querySelector('#confirm-text').innerText === 'Delete this record for good?'`)
	b.click(`#confirm [value=no]`)
	b.click(`#rejected-discard`)
	b.until("the question of all", `document.querySelector('#confirm').open && document.querySelector('#confirm-text').innerText === 'Delete this record for good?'`)
	b.click(`#confirm [value=yes]`)
	b.until("that they are gone", `document.querySelector('#rejected').innerText === 'None.' && document.querySelector('#rejected-discard').hidden && location.hash === '#/rejected'`)

	// Filters and search.
	b.view("#/deliveries")
	b.until("the list", `document.querySelectorAll('#rows tbody tr[data-id]').length === 6`)
	b.do(chromedp.SetValue(chromedp.CSS("#filter [name=status]"), "failed"), chromedp.Click(chromedp.CSS("#filter [type=submit]")))
	b.until("the failed ones", `document.querySelectorAll('#rows tbody tr[data-id]').length === 3 && location.hash === '#/deliveries?status=failed'`)
	b.do(chromedp.SendKeys(chromedp.CSS("#filter [name=q]"), `"n": 2,`))
	b.click("#filter [type=submit]")
	b.until("the one searched for", `document.querySelectorAll('#rows tbody tr[data-id]').length === 1`)

	// Numbers are shown as they were written, those beyond a browser's own ones too.
	eval[string](b, `document.querySelector('#filter [name=q]').value = '"big": 1234'`)
	b.click("#filter [type=submit]")
	b.until("the hostile one", `document.querySelector('#rows tbody tr[data-id]').innerText.includes('<script>')`)
	b.click("#rows tbody tr[data-id] td.event a")
	b.until("its payload", `document.querySelector('#payload')?.innerText.includes('"big": 12345678901234567890')`)
	b.click("#detail form button")
	eval[string](b, `document.querySelector('#filter [name=q]').value = '"n": 2,'`)
	b.click("#filter [type=submit]")
	b.until("the one from before", `document.querySelector('#rows tbody tr[data-id]').innerText.includes('chaos')`)

	// One delivery whole, and its replay.
	b.click("#rows tbody tr[data-id] td.event a")
	b.until("its story", `document.querySelector('#detail').open && document.querySelector('#detail-body').innerText.includes('HTTP 500') && document.querySelector('#payload').innerText.includes('"n": 2')`)
	b.click("#detail details.request summary")
	b.until("its request", `document.querySelector('#attempts .request pre').innerText.includes('X-IntelliDocs-Attempt: 1') && document.querySelector('#attempts .request pre').innerText.includes('POST http://')`)
	if text := eval[string](b, `document.querySelector('#attempts .request pre').innerText`); strings.Contains(text, testSecret) {
		t.Errorf("the request shows the secret: %s", text)
	}
	b.until("the response with its headers", `document.querySelector('#attempts .response pre').innerText.startsWith('HTTP/1.1 500 Internal Server Error\nContent-Length: ') && document.querySelector('#attempts .response pre').innerText.includes('{"received":')`)
	b.shot("delivery")
	// The browser's way back closes it, forward opens it, and its address opens it anywhere.
	address := eval[string](b, `location.hash`)
	if !strings.HasPrefix(address, "#/deliveries/dlv_") {
		t.Errorf("a delivery's address is %s", address)
	}
	eval[bool](b, `(history.back(), true)`)
	b.until("the way back", `!document.querySelector('#detail').open && location.hash.startsWith('#/deliveries?')`)
	eval[bool](b, `(history.forward(), true)`)
	b.until("the way forward", `document.querySelector('#detail').open`)
	b.click("#replay")
	b.until("the replay's word", `document.querySelector('#toast').innerText.includes('Queued again')`)
	r.until("the replay", 20*time.Second, func() bool {
		rows := r.rows("--webhook", "failing", "--search", `"n": 2,`)
		return len(rows) == 1 && rows[0].Attempts == 2
	})

	// Replay of all that match, with a question first.
	b.view("#/deliveries?status=failed")
	b.until("the failed ones", `document.querySelectorAll('#rows tbody tr[data-id]').length === 3`)
	b.click("#replay-all")
	b.until("the question", `document.querySelector('#confirm').open && document.querySelector('#confirm-text').innerText.includes('3 deliveries')`)
	b.click("#confirm button[value=yes]")
	b.until("the replays' word", `document.querySelector('#toast').innerText.includes('3 deliveries queued again')`)

	// Pause, resume, test.
	b.view("#/")
	b.click(`button[aria-label="Pause main"]`)
	b.until("the question", `document.querySelector('#confirm').open`)
	b.click("#confirm button[value=yes]")
	b.until("the pause", `document.querySelector('[data-webhook=main] .pill').innerText === 'paused'`)
	b.shot("paused")
	b.until("what is wrong", `document.querySelector('#health').innerText.includes('main') && document.title.startsWith('(1)') && document.querySelector('#attention').innerText.includes('paused')`)
	// A replay says that nothing is sent now, and offers the way out.
	b.view("#/deliveries?webhook=main")
	b.until("the list of it", `document.querySelectorAll('#rows tbody tr[data-id]').length === 3`)
	b.click("#rows tbody tr[data-id] td.event a")
	b.until("the warning", `document.querySelector('#detail').open && document.querySelector('#detail-body .banner').innerText.includes('Nothing is sent to main now')`)
	b.click("#replay")
	b.until("the replay's word", `document.querySelector('#toast').innerText.includes('nothing is sent to main now: it is paused')`)
	b.until("what it waits for", `document.querySelector('#rows').innerText.includes('webhook is paused')`)
	b.view("#/")
	b.click(`#webhooks button[aria-label="Resume main"]`)
	b.until("the resumption", `document.querySelector('[data-webhook=main] .pill').innerText === 'healthy'`)
	b.click(`button[aria-label="Test main"]`)
	b.until("the test", `document.querySelector('#detail').open && document.querySelector('#detail-body').innerText.includes('X-IntelliDocs-Event: scan_completed')`)
	b.click("#detail form button")
	b.click(`#webhooks [data-webhook=failing] h3 a`)
	b.until("the webhook's own", `document.querySelector('#filter [name=webhook]').value === 'failing' && document.querySelector('#webhook article.alone') && [...document.querySelectorAll('#rows td.webhook')].every((e) => e.innerText === 'failing')`)
	b.shot("webhook")

	// Everything can be reached and named without a mouse or eyes.
	if unnamed := eval[[]string](b, `[...document.querySelectorAll('button, input, select')].filter((e) => !(e.innerText || e.getAttribute('aria-label') || e.labels?.length)).map((e) => e.outerHTML)`); len(unnamed) > 0 {
		t.Errorf("controls without a name: %v", unnamed)
	}
	b.wantReachable()
	b.do(chromedp.EmulateViewport(390, 844))
	for _, view := range []string{"", "webhooks/failing", "deliveries", "rejected"} {
		b.view("#/" + view)
		if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 390 {
			t.Errorf("on a phone #/%s is %d pixels wide: %v", view, wide, eval[[]string](b, `[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 391).slice(0, 5).map((e) => e.outerHTML.slice(0, 150))`))
		}
		b.shot("phone-" + strings.ReplaceAll(cmp.Or(view, "overview"), "/", "-"))
	}
	b.view("#/")
	b.do(chromedp.EmulateViewport(640, 900))
	b.shot("640")
	b.do(chromedp.EmulateViewport(1280, 1000))
	dark := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, dark); err != nil {
		t.Fatal(err)
	}
	b.shot("dark")

	if title := eval[string](b, `document.title`); !strings.HasSuffix(title, "intellidocs-agent") {
		t.Errorf("a payload ran as a script: the title is %q", title)
	}
	b.mu.Lock()
	if len(b.faults) > 0 || len(b.foreign) > 0 {
		t.Errorf("faults %v, requests elsewhere %v", b.faults, b.foreign)
	}
	b.mu.Unlock()

	// An agent that goes away and comes back.
	r.kill(syscall.SIGKILL)
	b.until("the word that it is gone", `document.querySelector('#banners').innerText.includes('does not answer')`)
	b.shot("gone")
	r.start()
	b.until("its return", `document.body.dataset.live === 'true' && !document.querySelector('#banners').innerText.includes('does not answer')`)

	// A clean stop is not held up by an open dashboard.
	begun := time.Now()
	r.kill(syscall.SIGTERM)
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("with a dashboard open the agent took %s to stop", took)
	}
}

func TestDashboard_ALargeHistoryIsShownAtOnce(t *testing.T) {
	n := 5_000
	if soak() {
		n = 100_000
	}
	r := newRig(t, "")
	q, err := queue.Open(t.Context(), queue.Options{Dir: filepath.Join(r.dir, "state"), DedupWindow: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < n; at += 500 {
		var events []queue.NewEvent
		for i := at; i < at+500; i++ {
			events = append(events, queue.NewEvent{
				Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", i), Type: "scan_completed", TraceID: fmt.Sprintf("%032x", i+1), ReadAt: time.Now(), Body: fmt.Appendf(nil, `{"n": %d}`, i)},
				Webhooks: []string{"gone"},
			})
		}
		if _, err := q.Commit(t.Context(), queue.Batch{Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	addr := r.listening()
	r.start()
	r.answering(addr)
	b := newBrowser(t, addr, r.token())
	b.view("#/deliveries")
	b.until("the newest", `document.querySelectorAll('#rows tbody tr[data-id]').length === 50`)
	b.until("the parked webhook", `document.querySelector('[data-webhook=gone]').innerText.includes('removed')`)
	b.click("#more")
	b.until("more", `document.querySelectorAll('#rows tbody tr[data-id]').length === 100`)
	if text := eval[string](b, `document.querySelector('#totals').innerText.replace(/\D/g, '')`); !strings.HasPrefix(text, fmt.Sprint(n)) {
		t.Errorf("it says %s", text)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#filter [name=q]"), fmt.Sprintf(`"n": %d}`, n-7)))
	b.click("#filter [type=submit]")
	b.until("the one searched for", `document.querySelectorAll('#rows tbody tr[data-id]').length === 1`)
	b.shot("large")
}

func TestDashboard_AsksForTheTokenUnlessTheAddressHasIt(t *testing.T) {
	r := newRig(t, "")
	addr := r.listening()
	r.start()
	r.answering(addr)
	token := r.token()
	b := newBrowser(t, addr, "")
	b.until("the question for the token", `document.querySelector('#token').open`)
	b.shot("token")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("the question to be gone", `!document.querySelector('#token').open`)
	b.do(chromedp.Navigate("http://" + addr + "/?again"))
	b.until("the question again", `document.querySelector('#token').open`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token-value"), "another one"))
	b.click("#token-form button")
	b.until("the refusal", `document.querySelector('#token').open && document.querySelector('#token-wrong').innerText.includes('not the token')`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token-value"), token))
	b.click("#token-form button")
	b.until("the page to be live", `document.body.dataset.live === 'true'`)

	// The address that the command prints lets in at once, also where the page is open and asks.
	out, err := r.run("dashboard")
	if want := "http://" + addr + "/#token=" + token + "\n"; err != nil || out != want {
		t.Fatalf("%q %v, want %q", out, err, want)
	}
	eval[any](b, `sessionStorage.clear()`)
	b.do(chromedp.Navigate("http://" + addr + "/?other"))
	b.until("the question", `document.querySelector('#token').open`)
	b.do(chromedp.Navigate("http://" + addr + "/?other#token=" + token))
	b.until("the page to be live", `document.body.dataset.live === 'true'`)
	b.until("the address without it", `location.hash === ''`)
	b.click(`button[aria-label="Test main"]`)
	b.until("the test", `document.querySelector('#detail').open && document.querySelector('#detail-body').innerText.includes('delivered')`)
}
