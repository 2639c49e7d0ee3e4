package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// None of these mistakes hides another, whoever finds it.
func TestCheck_WhatThePartsFindIsReportedAtOnceUnderItsKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "agent.toml")
	text := `retry_dely = 1
[[webhook]]
name = "a"
url = "https://example.org/"
secret = "whsec_!"
previous_secrets = [{ secret = "fine" }, { secret = "whsec_?" }]
signing_key = "hunter2"
filter = "1 + 1"
format = "template"
template = "x"
content_type = "garbage"
tls = { ca_file = "bad.pem", cert_file = "bad.pem", key_file = "bad.pem" }
[[webhook]]
name = "b"
url = "https://example.org/"
template = "x"
tls = { ca_file = "bad.pem", cert_file = "nowhere.pem", key_file = "bad.pem" }
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, nil)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		`:1: retry_dely: there is no such key`,
		`:5: webhook "a".secret: a secret that begins with whsec_`,
		`:6: webhook "a".previous_secrets[1].secret: a secret that begins with whsec_`,
		`:7: webhook "a".signing_key: a signing key begins with whsk_`,
		`:8: webhook "a".filter: expected bool`,
		`:11: webhook "a".content_type: content_type must be such as`,
		`:12: webhook "a".tls.ca_file: ` + dir + `/bad.pem has no certificate`,
		`:12: webhook "a".tls.cert_file: ` + dir + `/bad.pem with the key`,
		`:16: webhook "b".template: it is only for`,
		`:17: webhook "b".tls.ca_file: ` + dir + `/bad.pem has no certificate`,
		`:17: webhook "b".tls.cert_file: open ` + dir + `/nowhere.pem: no such file`,
	} {
		if n := strings.Count(err.Error(), path+want); n != 1 {
			t.Errorf("%d times: %s", n, want)
		}
	}
	if len(lines) != 11 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("\n%v", err)
	}
}

func TestCheck_WarnsOfATargetThatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.toml")
	text := "[[source]]\npath = \"/log\"\n[[webhook]]\nname = \"a\"\nurl = \"http://127.1:8080/\"\n[[webhook]]\nname = \"b\"\nenabled = false\nurl = \"http://127.0.0.1/\"\n" +
		"[security]\nallow_internal_requests = false\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w := plan.Config.Warnings; len(w) != 1 || !strings.Contains(w[0].String(), `:5: webhook "a".url: deliveries to it will be given up: 127.0.0.1 is not allowed`) {
		t.Error(w)
	}
}

func TestCheck_URLsAndHeadersAreJudgedUnderTheirKeys(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"url": "ftp://x",
		"agent.toml": `[[webhook]]
name = "a b"
url = "ftp://example.org/hunter2hunter2"
[[webhook]]
name = "a"
url_file = "url"
headers = { "X-IntelliDocs-Signature" = "z", Good = "hunter2\nhunter2", one = "1", One = "2" }
[[webhook]]
name = "b"
url_env = "TEST_URL"
headers = { "Authorization: Bearer hunter2" = "" }
[[webhook]]
name = "c"
url = "https://example.org:99999/"
[[webhook]]
name = "d"
url = "https:///hunter2"
[[webhook]]
name = "e"
url = "https://example.org/#hunter2"
[[webhook]]
name = "f"
url = "https://exa mple.org/hunter2"
[[webhook]]
name = "g"
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TEST_URL", "ftp://x")
	_, err := Load(filepath.Join(dir, "agent.toml"), nil)
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(strings.ReplaceAll(err.Error(), dir+"/agent.toml:", ""), "\n")
	want := []string{
		`2: webhook[0].name: "a b" cannot be a name: use up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit`,
		`3: webhook "a b".url: it must begin with https:// or http://`,
		`6: webhook "a".url_file: it must begin with https:// or http://`,
		`7: webhook "a".headers.Good: the value has characters that a header cannot have, such as a line break`,
		`7: webhook "a".headers.X-IntelliDocs-Signature: this header is the agent's own and cannot be replaced`,
		`7: webhook "a".headers.one: this is the same header as One`,
		`10: webhook "b".url_env: it must begin with https:// or http://`,
		`11: webhook "b".headers: there is a name that no header can have; write Name = "value"`,
		`14: webhook "c".url: its port must be from 1 to 65535`,
		`17: webhook "d".url: it names no host`,
		`20: webhook "e".url: a part after # is never sent; leave it out`,
		`23: webhook "f".url: it is not a URL such as https://example.org/hook`,
		`24: webhook "g".url: give url, url_file or url_env`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReload_KeepsTheEndpointsOfWhatHasNotChanged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.toml")
	load := func(timeout int, inForce map[string]endpoint) map[string]endpoint {
		text := fmt.Sprintf("[[webhook]]\nname = \"a\"\nurl = \"https://example.org/\"\n[[webhook]]\nname = \"b\"\nurl = \"https://example.org/\"\ntimeout = %d\n", timeout)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, config.Environment())
		if err != nil {
			t.Fatal(err)
		}
		p, err := compile(cfg, nil, discard(), nil, inForce)
		if err != nil {
			t.Fatal(err)
		}
		return p.endpoints
	}
	first := load(1, nil)
	second := load(2, first)
	if first["a"] != second["a"] {
		t.Error("an endpoint that has not changed was built again")
	}
	if first["b"] == second["b"] {
		t.Error("the endpoint of before stays in force for a webhook that has changed")
	}
}
