package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// initIn runs init with a file of its own and returns what it printed, and the directory.
func initIn(t *testing.T, stdin string, args ...string) (dir, out string, err error) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data", "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("intellidocs-agent", append([]string{"init", "-c", "agent.toml"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	return dir, string(text), err
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const dump = `[
{"model": "documents.aiwebhookconfig", "pk": 1, "fields": {"name": "Slack für Büro", "enabled": true, "url": "https://hooks.slack.com/services/T0/B0/secretpart", "events": ["deletion_request_created"], "headers": {}, "secret": "", "max_retries": 3, "retry_delay": 60, "timeout": 10}},
{"model": "documents.aiwebhookconfig", "pk": 2, "fields": {"name": "erp", "enabled": true, "url": "http://127.0.0.1:9/hook", "events": [], "headers": {"X-Team": "a\"b", "Bad Name": "v"}, "secret": "super-secret-0123456789", "max_retries": 5, "retry_delay": 60, "timeout": 10}},
{"model": "documents.aiwebhookconfig", "pk": 3, "fields": {"name": "old", "enabled": false, "url": "ftp://example.org", "events": [], "headers": {}, "secret": ""}}]`

func TestInit_TakesOverIntelliDocsWebhooks(t *testing.T) {
	dir, out, err := initIn(t, dump, "--from", "-", "--data", "data", "--state", "state")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`webhook "old": it was left out: url: it must begin with https`, `webhook "erp": the header "Bad Name" was left out`, "is in order: 1 source, 2 webhooks", "Try: intellidocs-agent test Slack-f-r-B-ro -c "} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	text := readAll(t, filepath.Join(dir, "agent.toml"))
	for _, want := range []string{`format = "slack"`, `"X-Team" = "a\"b"`, "max_retries = 5", `events = ["deletion_request_created"]`, "# \"Slack für Büro\" in IntelliDocs", `path = "` + filepath.Join(dir, "state") + `"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, secret := range []string{"secretpart", "super-secret-0123456789"} {
		if strings.Contains(text, secret) || strings.Contains(out, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	if got := readAll(t, filepath.Join(dir, "secrets", "erp.secret")); got != "super-secret-0123456789\n" {
		t.Errorf("%q", got)
	}
	cmd := exec.Command("intellidocs-agent", "check", "-c", "agent.toml")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "2 webhooks") {
		t.Errorf("check: %v\n%s", err, out)
	}
}

func TestInit_SaysWhatIsMissingAndOverwritesNothing(t *testing.T) {
	for what, tt := range map[string]struct {
		args []string
		code int
		say  string
	}{
		"nothing is said":       {nil, exitUsage, "--url"},
		"no target":             {[]string{"--data", "data"}, exitUsage, "--url"},
		"an impossible target":  {[]string{"--data", "data", "--url", "example.org"}, exitFailure, "https://"},
		"an impossible format":  {[]string{"--data", "data", "--url", "https://example.org", "--format", "slak"}, exitFailure, `"slack"`},
		"a secret on the line":  {[]string{"--data", "data", "--url", "https://example.org", "--secret", "hunter2hunter2"}, exitUsage, "--secret-file"},
		"both":                  {[]string{"--from", "x", "--url", "https://example.org"}, exitUsage, "either --from or --url"},
		"no dump":               {[]string{"--from", "missing.json", "--data", "data"}, exitFailure, "no such file"},
		"none can be taken":     {[]string{"--from", "-", "--data", "data"}, exitFailure, "contains no documents.aiwebhookconfig"},
		"a place that is no ok": {[]string{"-c", "/proc/none/agent.toml", "--data", "data", "--url", "https://example.org"}, exitFailure, "-c"},
	} {
		dir, out, err := initIn(t, "[]", tt.args...)
		if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != tt.code || !strings.Contains(out, tt.say) || strings.Contains(out, "hunter2") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.toml")); len(left) > 0 {
			t.Errorf("%s: %v is written", what, left)
		}
	}
	dir, out, err := initIn(t, "", "--data", "data", "--url", "https://example.org/hook", "--secret", "generate", "--name", "mine")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, secret := readAll(t, filepath.Join(dir, "agent.toml")), readAll(t, filepath.Join(dir, "secrets", "mine.secret"))
	if len(secret) != 65 || strings.Contains(out, secret[:64]) {
		t.Errorf("the secret %q\n%s", secret, out)
	}
	again := exec.Command("intellidocs-agent", "init", "-c", "agent.toml", "--data", "data", "--url", "https://example.org/other")
	again.Dir = dir
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "--force") || readAll(t, filepath.Join(dir, "agent.toml")) != before {
		t.Errorf("%v\n%s", err, out)
	}
	again = exec.Command("intellidocs-agent", "init", "-c", "agent.toml", "--data", "data", "--url", "https://example.org/other", "--force")
	again.Dir = dir
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(readAll(t, filepath.Join(dir, "agent.toml")), "/other") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInit_OnATerminalToAFirstEvent answers the questions, and then the agent delivers.
func TestInit_OnATerminalToAFirstEvent(t *testing.T) {
	r := newRig(t, "")
	data := filepath.Dir(filepath.Dir(r.log))
	r.log = filepath.Join(data, "log", "ai_webhooks.log")
	r.append(eventLine(1))
	r.toml = filepath.Join(r.dir, "first", "agent.toml")
	cmd, out, in := r.onTerminal(100, "init", "--state", filepath.Join(r.dir, "state"))
	defer in.Close()
	answer := func(question, text string) {
		t.Helper()
		r.until(question, 20*time.Second, func() bool { return strings.Contains(out.String(), question) })
		if _, err := in.Write([]byte(text + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	answer("Where is IntelliDocs' data directory", filepath.Join(r.dir, "nowhere"))
	answer("no such file", data)
	answer("found "+r.log, "not an URL")
	answer("it must begin with", r.url)
	answer("Sign requests", "perhaps")
	answer("generate or none", "none")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "Try: intellidocs-agent test 127.0.0.1") {
		t.Fatalf("%v\n%s", err, out)
	}
	text := readAll(t, r.toml) + "\n[admin]\nlisten = \"\"\n"
	if err := os.WriteFile(r.toml, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	// The rig's receiver verifies by a secret that it was not told, so it is the log that says so.
	r.until("the first event", 20*time.Second, func() bool { return strings.Contains(r.agentLog(), "webhook=127.0.0.1 event_id=") })
}
