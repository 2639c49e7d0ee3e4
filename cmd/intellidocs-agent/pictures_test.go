package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
	"github.com/dawnsystem/intellidocs-agent/parser"
)

// pictures are README's, made by 'make pictures'; beside each is what it shows, as text.
const pictures = "../../examples/pictures"

// pictured is the event of the Slack message that README shows.
func pictured(t *testing.T) (line string, e parser.Event) {
	t.Helper()
	sample, err := events.Sample("deletion_request_created", time.Date(2025, 11, 14, 15, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(sample)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), parser.Line(text, parser.Options{Now: time.Now()}).Event
}

// labels are the page's views, sections and columns, as its source has them.
func labels(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("internal/admin/web/index.html")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, m := range regexp.MustCompile(`(?:<h2[^>]*>|data-view="[^"]*"[^>]*>|<th scope="col"[^>]*>)([^<]+)<`).FindAllStringSubmatch(string(page), -1) {
		fmt.Fprintln(&out, m[1])
	}
	return out.String()
}

func TestPictures_ShowWhatThePageAndASlackMessageAre(t *testing.T) {
	if os.Getenv("INTELLIDOCS_PICTURES") != "" {
		makePictures(t)
	}
	readme := readAll(t, "../../README.md")
	for _, name := range []string{"page", "slack"} {
		data, err := os.ReadFile(filepath.Join(pictures, name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		if size, err := png.DecodeConfig(bytes.NewReader(data)); err != nil || size.Width < 500 || size.Width > 1280 || len(data) > 250<<10 {
			t.Errorf("%s.png: %v, %d bytes, %v", name, size, len(data), err)
		}
		if !regexp.MustCompile(`!\[[^\]]{10,}\]\(examples/pictures/` + name + `\.png\)`).MatchString(readme) {
			t.Errorf("README.md does not show %s.png with a text", name)
		}
	}
	if got := readAll(t, filepath.Join(pictures, "page.txt")); got != labels(t) {
		t.Errorf("the picture of the page shows other views, sections or columns than the page has; run 'make pictures'\n%s", got)
	}
	_, e := pictured(t)
	r, err := format.New(format.Spec{Format: "slack"})
	if err != nil {
		t.Fatal(err)
	}
	message, _, err := r.Render(format.Input{EventID: e.ID, EventType: e.Type, Body: e.Body})
	if err != nil || readAll(t, filepath.Join(pictures, "slack.json")) != string(message) {
		t.Errorf("the picture of the Slack message shows another one than is sent; run 'make pictures' (%v)", err)
	}
}

// makePictures runs an agent over samples, and pictures its page and what Slack is sent.
func makePictures(t *testing.T) {
	sent := make(chan []byte, 100)
	slack := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent <- body
	}))
	t.Cleanup(slack.Close)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	}))
	t.Cleanup(down.Close)
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"slack-ai\"\nurl = %q\nformat = \"slack\"\nevents = [\"deletion_request_created\"]\n"+
		"[[webhook]]\nname = \"erp\"\nurl = %q\nbreaker_failures = 3\nretry_delay = 30\n", slack.URL, down.URL))
	data, err := os.MkdirTemp("", "paperless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	log := filepath.Join(data, "ai_webhooks.log")
	text := strings.NewReplacer(`name = "main"`, `name = "archive"`, r.log, log).Replace(readAll(t, r.toml))
	r.log = log
	if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := r.listening()
	r.start()
	r.answering(addr)
	line, _ := pictured(t)
	r.append(line)
	for n, title := range []string{"Rechnung 2025-118", "Übersicht Q3", "Invoice 2023-001", "Contract, signed", "Payslip October"} {
		r.append(fmt.Sprintf(`{"event_type":"scan_completed","timestamp":%q,"document":{"id":%d,"title":%q,"correspondent":"Acme Corp"}}`,
			time.Now().UTC().Format(time.RFC3339), 451+n, title))
	}
	r.until("every delivery", time.Minute, func() bool { return len(r.rows("--status", "success")) == 7 })
	message := <-sent
	b := newBrowser(t, addr, r.token())
	b.until("the sick webhook", `document.querySelector('#health').innerText.includes('erp')`)
	b.until("the feed", `document.querySelectorAll('#events li time').length === 6`)
	b.picture("page", 1100, 900)
	b.do(chromedp.Navigate("data:text/html;charset=utf-8," + strings.NewReplacer("%", "%25", "#", "%23", "\n", "%0A").Replace(slackPage(t, message))))
	b.picture("slack", 640, 430)
	for name, text := range map[string]string{"page.txt": labels(t), "slack.json": string(message)} {
		if err := os.WriteFile(filepath.Join(pictures, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *browser) picture(name string, width, height int64) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}); err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Second) // what is drawn again for the size
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// slackPage draws a message as Slack does: header, sections with fields, context.
func slackPage(t *testing.T, message []byte) string {
	t.Helper()
	type textObject struct{ Text string }
	var m struct {
		Blocks []struct {
			Type     string
			Text     textObject
			Fields   []textObject
			Elements []textObject
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	marked := func(s string) string {
		s = regexp.MustCompile(`<!date\^\d+\^[^|]*\|([^>]*)>`).ReplaceAllString(s, "$1")
		s = regexp.MustCompile(`\*([^*\n]+)\*`).ReplaceAllString(html.EscapeString(html.UnescapeString(s)), "<b>$1</b>")
		return strings.ReplaceAll(s, "\n", "<br>")
	}
	var body strings.Builder
	for _, block := range m.Blocks {
		fmt.Fprintf(&body, `<div class="%s">%s`, block.Type, marked(block.Text.Text))
		for _, f := range append(block.Fields, block.Elements...) {
			fmt.Fprintf(&body, "<span>%s</span>", marked(f.Text))
		}
		body.WriteString("</div>")
	}
	return `<style>body{font:15px/1.46 Lato,"Noto Sans",Arial,sans-serif;margin:16px 20px;color:#1d1c1d;background:#fff}
.who{font-weight:900}.who i{font:10px sans-serif;background:#ddd;border-radius:2px;padding:1px 3px;margin:0 6px}.who small{color:#616061;font-weight:400}
main{margin-left:46px}.icon{float:left;width:36px;height:36px;border-radius:4px;background:#17541f;color:#fff;text-align:center;line-height:36px;font-weight:900}
.header{font-size:18px;font-weight:900;margin:4px 0}.section{margin:6px 0}.section span{display:inline-block;width:48%;vertical-align:top;margin:3px 0}.context{color:#616061;font-size:12px;margin-top:8px}</style>
<div class=icon>iD</div><main><div class=who>IntelliDocs<i>APP</i><small>4:00 PM</small></div>` + body.String() + "</main>"
}
