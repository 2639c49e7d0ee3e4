package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

type vars map[string]string

func (v vars) lookup(k string) (string, bool) { s, ok := v[k]; return s, ok }

func write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t testing.TB, text string, env vars) (*Config, error) {
	t.Helper()
	return Load(write(t, filepath.Join(t.TempDir(), "agent.toml"), text), env.lookup)
}

const hook = "[[webhook]]\nname = \"a\"\nurl = \"https://example.org/\"\n"

func TestLoad_DefaultsAreTheDocumentedOnes(t *testing.T) {
	c, err := load(t, hook+"[[source]]\npath = \"/log\"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, s := c.Webhooks[0], c.Sources[0]
	got := fmt.Sprint(c.Enabled, c.State, c.Security, c.Admin, c.Log, s, w.Enabled, w.Format, w.MaxRetries, w.RetryDelay, w.RetryMaxDelay, w.RetryJitter,
		w.Timeout, w.Concurrency, w.BreakerFailures, w.Ordered, w.RateLimit, len(w.Events), len(c.Warnings))
	want := "true {/var/lib/intellidocs-agent 720h0m0s 24h0m0s 2147483648} {[http https] [] true [] none} {127.0.0.1:9723 false  [secret]} {info text} " +
		"{log /log /log false beginning false 1048576 delete [secret]} truejson3 1m0s 1h0m0s 0.1 10s 8 20 false 0 0 0"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestLoad_AuthNoneIsForTheLoopbackOnly(t *testing.T) {
	for admin, want := range map[string]string{
		`auth = "none"`: "",
		"auth = \"none\"\nlisten = \"[::1]:9723\"":    "",
		"auth = \"none\"\nlisten = \"\"":              "",
		"auth = \"none\"\nlisten = \"0.0.0.0:9723\"":  "other machines can reach",
		"auth = \"none\"\nlisten = \":9723\"":         "other machines can reach",
		"auth = \"none\"\nlisten = \"agent:9723\"":    "other machines can reach",
		"auth = \"none\"\ntoken_file = \"/dev/null\"": "remove one of them",
		`auth = "off"`: "use one of token, none",
	} {
		c, err := load(t, "[admin]\n"+admin+"\n[[source]]\npath = \"/log\"\n"+hook, nil)
		switch {
		case want == "" && (err != nil || !c.Admin.Open):
			t.Errorf("%s: %v", admin, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", admin, err, want)
		}
	}
}

func TestLoad_EveryMistakeAtOnceWithItsLine(t *testing.T) {
	_, err := load(t, `enabled = "yes"
[state]
max_size = "lots"
retention = -1
[[source]]
type = "logg"
pth = "/log"
[security]
allowed_ports = [80, 99999]
allowed_cidrs = ["10.0.0.0/99"]
allowed_schemes = ["gopher"]
[admin]
listen = "0.0.0.0:9723"
[defaults]
timeout = true
[[webhook]]
name = "a b"
url = "ftp://example.org/hunter2hunter2"
retry_dely = 3
events = "all"
[[webhook]]
name = "x"
secret = "hunter2hunter2"
secret_env = "Y"
format = "slak"
headers = { "X-IntelliDocs-Signature" = "z", "Bad\nName" = "z", Good = "hunter2\nhunter2" }
previous_secrets = [
  { secret = "b", expires = "soon" },
]
`, vars{"PAPERLESS_AI_WEBHOOKS_MAX_RETRIES": "many"})
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	text := err.Error()
	for _, want := range []string{
		`agent.toml:1: enabled: it must be true or false, not a string`,
		`agent.toml:3: [state].max_size: it must be a size such as "64MiB"`,
		`agent.toml:4: [state].retention`,
		`agent.toml:6: source[0].type: "logg" is not possible; use one of log, spool; did you mean "log"?`,
		`agent.toml:5: source[0].path: it must name the file`,
		`agent.toml:7: source[0].pth: there is no such key; did you mean "path"?`,
		`agent.toml:9: [security].allowed_ports`,
		`agent.toml:10: [security].allowed_cidrs: "10.0.0.0/99"`,
		`agent.toml:11: [security].allowed_schemes: "gopher"`,
		`agent.toml:13: [admin].listen: other machines`,
		`agent.toml:15: [defaults].timeout`,
		`agent.toml:17: webhook[0].name: "a b" cannot be a name`,
		`agent.toml:19: webhook "a b".retry_dely: there is no such key; did you mean "retry_delay"?`,
		`agent.toml:20: webhook "a b".events: it must be a list of strings`,
		`agent.toml:21: webhook "x".url: give url, url_file or url_env`,
		`agent.toml:23: webhook "x".secret: give only one of`,
		`agent.toml:25: webhook "x".format: "slak" is not possible`,
		`webhook "x".previous_secrets[0].expires: it must be a date`,
		`environment: PAPERLESS_AI_WEBHOOKS_MAX_RETRIES: it must be a whole number`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is in the errors")
	}
	if t.Failed() {
		t.Log("\n" + text)
	}
}

func TestLoad_ErrorsNameTheKeyAsItIsWritten(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "url"), "nonsense")
	_, err := Load(write(t, filepath.Join(dir, "agent.toml"), `
[[webhook]]
name = "a"
url_file = "url"
events = ["x", 7]
secret = "s"
[[webhook.previous_secrets]]
secret = "x"
[[webhook.previous_secrets]]
secret = "y"
expires = "z"
[[webhook]]
name = "b"
url_env = "URL"
[[webhook.previous_secrets]]
expires = "z"
`), vars{"URL": "ftp://x"}.lookup)
	for _, want := range []string{
		`agent.toml:5: webhook "a".events: it must be a list of strings such as ["a", "b"], not a list with the number 7`,
		`agent.toml:11: webhook "a".previous_secrets[1].expires: it must be a date`,
		`agent.toml:16: webhook "b".previous_secrets[0].expires: it must be a date`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s\n%v", want, err)
		}
	}
}

func TestLoad_SyntaxErrorHasItsLine(t *testing.T) {
	_, err := load(t, "enabled = true\n[state\n", nil)
	if err == nil || !strings.Contains(err.Error(), "agent.toml:2: this is not TOML") {
		t.Fatal(err)
	}
	if _, err := Load("/nowhere/agent.toml", vars{}.lookup); err == nil || !strings.Contains(err.Error(), "agent.toml.example") {
		t.Fatal(err)
	}
}

func TestLoad_Precedence(t *testing.T) {
	env := vars{
		"PAPERLESS_AI_WEBHOOKS_ENABLED": "No", "PAPERLESS_AI_WEBHOOKS_MAX_RETRIES": "7", "PAPERLESS_AI_WEBHOOKS_RETRY_DELAY": "30", "PAPERLESS_AI_WEBHOOKS_TIMEOUT": "5",
		"PAPERLESS_WEBHOOKS_ALLOWED_SCHEMES": "HTTPS", "PAPERLESS_WEBHOOKS_ALLOWED_PORTS": "443, 8443", "PAPERLESS_WEBHOOKS_ALLOW_INTERNAL_REQUESTS": "false",
	}
	text := "enabled = true\n[defaults]\nmax_retries = 1\nretry_delay = 2\ntimeout = 3\nconcurrency = 4\n" + hook + "retry_delay = \"1m\"\n"
	c, err := load(t, text, env)
	if err != nil {
		t.Fatal(err)
	}
	w := c.Webhooks[0]
	if c.Enabled || w.MaxRetries != 7 || w.RetryDelay != time.Minute || w.Timeout != 5*time.Second || w.Concurrency != 4 {
		t.Errorf("%v %d %s %s %d", c.Enabled, w.MaxRetries, w.RetryDelay, w.Timeout, w.Concurrency)
	}
	if s := c.Security; fmt.Sprint(s.AllowedSchemes, s.AllowedPorts, s.AllowInternalRequests) != "[https] [443 8443] false" {
		t.Errorf("%+v", s)
	}
	if c, err = load(t, text, nil); err != nil || !c.Enabled || c.Webhooks[0].MaxRetries != 1 {
		t.Errorf("without the environment: %v %+v", err, c)
	}
}

func TestLoad_AProxyThatCannotBeUsedIsAnErrorAndNotPassedOver(t *testing.T) {
	for value, ok := range map[string]bool{
		"http://proxy:3128": true, "proxy:3128": true, "https://user:hunter2@proxy": true, "socks5://[::1]:1080": true, "": true,
		"::bad:hunter2:": false, "http://": false, "socks4://proxy:1": false, "http://user:hunter2@pr oxy/": false,
	} {
		env := vars{"HTTPS_PROXY": value}
		_, err := load(t, hook+"[security]\nproxy = \"environment\"\n", env)
		if (err == nil) != ok || err != nil && (!strings.Contains(err.Error(), "environment: HTTPS_PROXY: ") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v", value, err)
		}
		if _, err := load(t, hook, env); err != nil {
			t.Errorf("%q, not used: %v", value, err)
		}
	}
}

func TestLoad_SecretsAreFoundAndNeverPrinted(t *testing.T) {
	dir, creds := t.TempDir(), t.TempDir()
	write(t, filepath.Join(creds, "from-systemd"), "hunter2-credential\n")
	write(t, filepath.Join(dir, "beside"), "hunter2-beside\r\n")
	path := write(t, filepath.Join(dir, "agent.toml"), `
[[webhook]]
name = "a"
url_env = "URL"
secret_file = "from-systemd"
headers = { Authorization = "Bearer hunter2-header" }
previous_secrets = [{ secret_file = "beside", expires = 2099-01-01T00:00:00Z }, { secret = "hunter2-inline" }]
[[webhook]]
name = "b"
url = "https://user:hunter2@example.org/hunter2"
secret_file = "./beside"
`)
	c, err := Load(path, vars{"URL": "https://example.org/hunter2-url", "CREDENTIALS_DIRECTORY": creds}.lookup)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Webhooks[0]
	if a.Secret.Reveal() != "hunter2-credential" || a.PreviousSecrets[0].Secret.Reveal() != "hunter2-beside" || a.URL.Reveal() != "https://example.org/hunter2-url" || c.Webhooks[1].Secret.Reveal() != "hunter2-beside" {
		t.Errorf("secrets were read wrongly")
	}
	if out := fmt.Sprintf("%v %+v %#v", c, c.Webhooks, a); strings.Contains(out, "hunter2") {
		t.Errorf("printed: %s", out)
	}
	first := a.Digest()
	a.Secret = secret.Of("another")
	if a.Digest() == first {
		t.Error("the digest does not tell secrets apart")
	}
	_, err = load(t, "[[webhook]]\nname = \"a\"\nurl = \"https://example.org/\"\nsecret_file = \"nowhere\"\n", nil)
	if err == nil || !strings.Contains(err.Error(), "agent.toml:4: webhook \"a\".secret_file: there is no such file; looked for /run/secrets/nowhere") {
		t.Error(err)
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for text, want := range map[string]string{
		`"90s"`: "1m30s", `"24h"`: "24h0m0s", `"30d"`: "720h0m0s", `"1d12h"`: "36h0m0s", `90`: "1m30s", `1.5`: "1.5s", `"90"`: "1m30s", `0`: "0s",
		`"1w"`: "", `true`: "", `-5`: "", `"-5s"`: "", `99999999999`: "", `"d"`: "", `inf`: "",
	} {
		c, err := load(t, hook+"retry_delay = "+text+"\n", nil)
		if got := err == nil; got != (want != "") {
			t.Errorf("%s: %v", text, err)
		} else if got && c.Webhooks[0].RetryDelay.String() != want {
			t.Errorf("%s: %s, want %s", text, c.Webhooks[0].RetryDelay, want)
		}
	}
	for text, want := range map[string]int64{
		`16777216`: 16 << 20, `1048576`: 1 << 20, `"64MiB"`: 64 << 20, `"64 mb"`: 64e6, `"0.5GiB"`: 512 << 20, `"1k"`: 0, `"many"`: 0, `"1XB"`: 0, `-1`: 0, `"9999999PiB"`: 0,
	} {
		c, err := load(t, "[state]\nmax_size = "+text+"\n", nil)
		if (err == nil) != (want != 0) || err == nil && c.State.MaxSize != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestExample_LoadsAndMentionsEveryKey(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "agent.toml.example")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, vars{}.lookup)
	if err != nil || len(c.Warnings) != 0 {
		t.Fatal(err, c)
	}
	// Every key that the reader takes stands in the example, active or commented out.
	for _, key := range schemaKeys(t) {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !regexp.MustCompile(`(?m)(^|[\s#\[{,(])` + last + `([^a-z_]|$)`).Match(data) {
			t.Errorf("agent.toml.example does not mention %s", key)
		}
	}
	// And what is commented out is right: uncommented, it says what is the default already.
	var all strings.Builder
	for line := range strings.Lines(string(data)) {
		if m := regexp.MustCompile(`^# ([a-z_]+ = .*)`).FindStringSubmatch(line); m != nil && !strings.Contains(m[1], "archive-secret-old") &&
			!strings.HasPrefix(m[1], "enabled") && !strings.HasPrefix(m[1], "filter") && !strings.HasPrefix(m[1], "headers") {
			line = m[1] + "\n"
		}
		if regexp.MustCompile(`^(type = "spool"|path = "/usr/src/paperless/data/ai|after|name = "(slack|ops)|url_file|url = "https://ntfy|format = "(slack|ntfy)|events = \["agent|events = \["deletion_request_created"\]|secret_file)`).MatchString(line) {
			continue
		}
		all.WriteString(line)
	}
	full, err := load(t, all.String(), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, all.String())
	}
	if a, b := fmt.Sprint(c.State, c.Security, c.Admin, c.Log, c.Sources, c.Webhooks), fmt.Sprint(full.State, full.Security, full.Admin, full.Log, full.Sources, full.Webhooks); a != b {
		t.Errorf("what is commented out is not the default:\n%s\n%s", a, b)
	}
}

func TestWatch_SeesEveryWayAFileIsChanged(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "..data")
	for _, v := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, v), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, v, "agent.toml"), v)
	}
	if err := os.Symlink("v1", data); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(dir, "agent.toml")
	if err := os.Symlink("..data/agent.toml", linked); err != nil {
		t.Fatal(err)
	}
	plain := write(t, filepath.Join(t.TempDir(), "agent.toml"), "one")
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "one")
	changed := make(chan string, 10)
	watch := func(name string, files ...string) {
		read := fingerprints(files)
		go func() {
			_ = Watch(t.Context(), func() Files { return read }, nil, func(string) { changed <- name })
		}()
	}
	watch("linked", linked)
	watch("plain", plain, secret)
	for _, c := range []struct {
		want string
		do   func() error
	}{
		{"plain", func() error { return os.WriteFile(plain, []byte("two"), 0o600) }},
		{"plain", func() error { write(t, plain+".new", "three"); return os.Rename(plain+".new", plain) }},
		{"plain", func() error {
			return errors.Join(os.Rename(plain, plain+"~"), os.WriteFile(plain, []byte("four"), 0o600))
		}},
		{"plain", func() error { return os.WriteFile(secret, []byte("two"), 0o600) }},
		{"linked", func() error {
			return errors.Join(os.Symlink("v2", data+"_tmp"), os.Rename(data+"_tmp", data))
		}},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-changed:
			if got != c.want {
				t.Errorf("%s changed, want %s", got, c.want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("a change of %s was not seen", c.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(hook)
	f.Add("[state]\npath = 1\n[[source]]\n")
	f.Add("webhook = [{name='a'}]\nsource = 3\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "fuzz.toml")
		if os.WriteFile(path, []byte(text), 0o600) != nil {
			return
		}
		c, err := Load(path, vars{}.lookup)
		if c == nil && err == nil {
			t.Fatal("neither a configuration nor an error")
		}
	})
}

func TestLoad_TheTokenIsJudgedAsItIsUsed(t *testing.T) {
	for text, ok := range map[string]bool{
		"0123456789abcdef": true, "0123456789abcdef \r\n": true, "\t0123456789abcdef\n\n": true,
		"0123456789abcde": false, "0123456789abcde \n": false, " 0123456789abcde": false, "                \n": false, "": false,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "token"), text)
		c, err := Load(write(t, filepath.Join(dir, "agent.toml"), hook+"[admin]\ntoken_file = \"token\"\n"), vars{}.lookup)
		if (err == nil) != ok || ok && c.Admin.Token.Reveal() != "0123456789abcdef" || !ok && !strings.Contains(err.Error(), "agent.toml:5: [admin].token_file: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestStatePath_IsFoundInAFileWithSlips(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                                       defaultState,
		"[state]\npath = \"s\"\n":                filepath.Join(dir, "s"),
		"state = { path = \"/s\" }\n":            "/s",
		"x = [\n[ state ]\n\"path\" = '/s'\n":    "/s",
		"[state]\nretention = 1d\npath = \"/s\"": "/s",
		"[state\n[[webhook]\npath = \"/s\"":      defaultState,
	} {
		got, err := StatePath(write(t, filepath.Join(dir, "agent.toml"), text))
		if err != nil || got != want {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
}
