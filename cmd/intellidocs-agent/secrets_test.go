package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// planted is in every secret of the test below, plain or as base64.
const planted = "hunter2hunter2"

func TestSecrets_AreInNoOutput(t *testing.T) {
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://user:"+planted+"@127.0.0.1:1/"+planted+"?token="+planted, http.StatusFound)
	}))
	defer redirecting.Close()
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	defer encrypted.Close()
	// Many receivers for trying things out answer with the request they got.
	echoing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[bool]int{true: 200, false: 500}[strings.HasPrefix(r.URL.Path, "/ok")])
		_ = r.Write(w)
	}))
	defer echoing.Close()
	whsec := "whsec_" + base64.StdEncoding.EncodeToString([]byte(planted+planted))
	whsk := "whsk_" + base64.StdEncoding.EncodeToString([]byte(planted+planted+"to32"))
	hooks := ""
	for name, url := range map[string]string{
		"ok": echoing.URL + "/ok", "echoes": echoing.URL, "refused": "http://127.0.0.1:1", "redirects": redirecting.URL, "tls": encrypted.URL, "nowhere": "http://nowhere.invalid",
		"forbidden": "http://169.254.169.254",
	} {
		url = strings.Replace(url, "://", "://"+planted+":"+planted+"@", 1) + "/services/" + planted + "?key=" + planted
		hooks += fmt.Sprintf("[[webhook]]\nname = %q\nurl = %q\nsecret = %q\nsigning_key = %q\nmax_retries = 0\nheaders = { X-Key = \"Bearer %s\" }\nprevious_secrets = [{ secret = %q }]\n",
			name, url, whsec, whsk, planted, planted+"old")
	}
	r := newRig(t, hooks)
	addr := r.listening()
	data, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(r.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := strings.Replace(string(data), "[admin]\n", fmt.Sprintf("[log]\nlevel = \"debug\"\nformat = \"json\"\n[admin]\ntoken_file = %q\n", write("token", planted+planted)), 1)
	write("agent.toml", text)
	r.start()
	r.answering(addr)
	r.append(eventLine(1), eventLine(2))
	r.until("every delivery to end", 60*time.Second, func() bool {
		return len(r.rows("--status", "success,failed", "--limit", "0")) == 16
	})

	outputs := map[string]string{}
	for _, args := range [][]string{
		{"deliveries"},
		{"deliveries", "--json"},
		{"rejected"},
		{"check"},
		{"check", "--connect"},
		{"pause", "refused"},
		{"resume", "refused"},
		{"test", "refused"},
		{"test", "redirects"},
		{"test", "tls"},
		{"test", "forbidden"},
		{"test", "ok"},
		{"test", "echoes"},
		{"test", "main", "--json"},
	} {
		outputs[strings.Join(args, " ")], _ = r.run(args...)
	}
	for _, row := range r.rows() {
		outputs["show "+row.ID], _ = r.run("show", row.ID)
		outputs["show --json "+row.ID], _ = r.run("show", "--json", row.ID)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "state", "agent.sock"))
	}}}
	for _, path := range []string{"/metrics", "/api/v1/status", "/api/v1/deliveries", "/api/v1/events", "/readyz"} {
		resp, err := client.Get("http://agent" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) == 0 {
			t.Fatal(path, err)
		}
		outputs[path] = string(body)
	}
	ps, err := exec.Command("ps", "axww", "-o", "args").Output()
	if err == nil {
		outputs["ps"] = string(ps)
	}
	// A broken file is told of without what is secret in it.
	write("agent.toml", text+"\nsecret = \""+planted+"\"\n[[webhook]]\nname = \"x\"\nurl = \"gopher://"+planted+"\"\nsecret = "+planted+"\n")
	_ = r.cmd.Process.Signal(syscall.SIGHUP)
	r.until("the broken file in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "has errors and is ignored") })
	outputs["check of a broken file"], _ = r.run("check")
	r.kill(syscall.SIGTERM)
	// Once more, logging as text.
	write("agent.toml", strings.Replace(text, `format = "json"`, `format = "text"`, 1))
	r.start()
	r.answering(addr)
	r.append(eventLine(3))
	r.until("the new deliveries to end", 60*time.Second, func() bool {
		return len(r.rows("--status", "success,failed", "--limit", "0")) == 24
	})
	r.kill(syscall.SIGTERM)
	outputs["log"] = r.agentLog()
	if !strings.Contains(outputs["log"], `{"time"`) || !strings.Contains(outputs["log"], "\ntime=") {
		t.Error("the log is not in both formats")
	}

	encoded := strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(planted)), "=")
	for name, out := range outputs {
		for _, secret := range []string{planted, encoded[:16]} {
			if i := strings.Index(out, secret); i >= 0 {
				t.Errorf("%s: …%s…", name, out[max(0, i-200):min(len(out), i+100)])
			}
		}
	}
	if !strings.Contains(outputs["test tls"], "not delivered: ") || !strings.Contains(outputs["deliveries"], "not allowed") ||
		!strings.Contains(outputs["deliveries --json"], "X-Key: ") {
		t.Errorf("the test's outputs are not what they should be:\n%s\n%s", outputs["test tls"], outputs["deliveries"])
	}
}

func TestReload_ASecretFileThatComesLater(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.append(eventLine(1))
	r.until("the first event", 30*time.Second, func() bool { return r.recv.distinct() == 1 })
	late := filepath.Join(r.dir, "late")
	r.configure(fmt.Sprintf("[[webhook]]\nname = \"second\"\nurl = %q\nsecret_file = %q\n", r.url, late))
	r.until("the missing file in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "there is no such file") })
	if err := os.WriteFile(late, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reloaded(2)
}

func TestReload_AChangedAdminTokenTakesEffect(t *testing.T) {
	r := newRig(t, "")
	addr := r.listening()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	write("token", "a token of the first day\n")
	write("agent.toml", strings.Replace(string(data), "[admin]\n", "[admin]\ntoken_file = \"token\"\n", 1))
	r.start()
	r.answering(addr)
	resume := func(token string) int {
		req, err := http.NewRequest("POST", "http://"+addr+"/api/v1/webhooks/main/resume", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := resume("a token of the first day"); code != 200 {
		t.Fatal(code)
	}
	write("token", "too short")
	r.until("the refusal of a short one", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "at least 16 characters") })
	if code := resume("a token of the first day"); code != 200 {
		t.Errorf("the one in force answers %d", code)
	}
	write("token", "a token of the second day\n")
	r.until("the new token to be in force", 30*time.Second, func() bool { return resume("a token of the second day") == 200 })
	if code := resume("a token of the first day"); code != 401 {
		t.Errorf("the old token is answered %d", code)
	}
}
