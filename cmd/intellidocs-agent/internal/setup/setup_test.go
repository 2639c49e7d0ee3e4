package setup

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// hostile are texts that end a string, a line or a table where they are not quoted.
var hostile = []string{
	`a"b`, `'''`, `"""`, "line\nfeed", "tab\t", "\x00\x01\x1f\x7f\u0080", `\`, `\u0041`, "# no comment", "]]\n[[webhook]]\nname = \"x\"",
	"\u2028\u2029", "é 📄", "${HOME}", "{{.}}", "=", strings.Repeat("x", 10_000), "\xff\xfe", " ", "",
}

func anyText() string {
	var b strings.Builder
	for range 1 + rand.IntN(3) {
		b.WriteString(hostile[rand.IntN(len(hostile))])
	}
	return b.String()
}

func TestFiles_WhateverStandsInThemIsReadBackAsItWas(t *testing.T) {
	for range race.Rounds(2000, 200) {
		w := Webhook{Name: anyText(), URL: "https://example.org/?" + anyText(), Format: "slack", Events: []string{anyText(), anyText()}, Note: anyText()}
		w.Headers = []Header{{anyText() + "a", anyText()}, {anyText() + "b", anyText()}}
		s := Setup{SourceType: "log", SourcePath: anyText(), StatePath: "/state" + anyText(), Webhooks: []Webhook{w, {Name: "last", URL: "x"}}}
		var got struct {
			State   struct{ Path string }
			Source  []struct{ Path string }
			Webhook []struct {
				Name, URL string
				Events    []string
				Headers   map[string]string
			}
		}
		text := s.Files()[0].Data
		if _, err := toml.Decode(string(text), &got); err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		same := func(what, got, want string) {
			if strings.ReplaceAll(got, "\uFFFD", "") != strings.ReplaceAll(valid(want), "\uFFFD", "") {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		if len(got.Webhook) != 2 || len(got.Source) != 1 {
			t.Fatalf("%d webhooks, %d sources\n%q", len(got.Webhook), len(got.Source), text)
		}
		same("state", got.State.Path, s.StatePath)
		same("source", got.Source[0].Path, s.SourcePath)
		same("name", got.Webhook[0].Name, w.Name)
		same("url", got.Webhook[0].URL, w.URL)
		same("event", got.Webhook[0].Events[1], w.Events[1])
		if len(got.Webhook[0].Headers) != 2 {
			t.Errorf("headers %q", got.Webhook[0].Headers)
		}
	}
}

func TestFromDump_TakesWhatDjangoWritesAndSaysWhatItIsNot(t *testing.T) {
	const one = `{"model": "documents.aiwebhookconfig", "pk": 1, "fields": {"name": "a", "url": "https://example.org", %s}}`
	with := func(fields string) string { return "[" + strings.Replace(one, "%s", fields, 1) + "]" }
	for what, tt := range map[string]struct {
		dump string
		err  string
		left string
		want func(w Webhook) bool
	}{
		"empty":                  {"", "contains no documents.aiwebhookconfig", "", nil},
		"an empty list":          {"[]", "contains no documents.aiwebhookconfig", "", nil},
		"no JSON":                {"CommandError: x", "no JSON at byte", "", nil},
		"cut off":                {with(`"enabled": true`)[:60], "cut off", "", nil},
		"numbers":                {"[1, 2]", "where Django writes", "", nil},
		"deep":                   {strings.Repeat("[", 20_000), "JSON", "", nil},
		"another model":          {`[{"model": "auth.user", "fields": {}}]`, "1 object of other models", "", nil},
		"a byte order mark":      {"\ufeff" + with(`"secret": "s"`), "", "", func(w Webhook) bool { return w.Secret == "s" }},
		"an object a line":       {strings.Trim(with(`"secret": "s"`), "[]") + "\n", "", "", func(w Webhook) bool { return w.Secret == "s" }},
		"nulls":                  {with(`"events": null, "headers": null, "secret": null, "timeout": null, "enabled": null`), "", "", func(w Webhook) bool { return !w.Disabled && len(w.Events) == 0 }},
		"JSON in a text":         {with(`"events": "[\"x\"]", "headers": "{\"A\": \"b\"}"`), "", "", func(w Webhook) bool { return w.Events[0] == "x" && w.Headers[0] == Header{"A", "b"} }},
		"all":                    {with(`"events": ["all"]`), "", "", func(w Webhook) bool { return len(w.Events) == 0 && !w.Disabled }},
		"events of numbers":      {with(`"events": [1]`), "", "events was left out", func(w Webhook) bool { return w.Disabled }},
		"events of a word":       {with(`"events": "x"`), "", "events was left out", func(w Webhook) bool { return w.Disabled }},
		"a header of lists":      {with(`"headers": {"A": [1], "B": 7}`), "", `header "A"`, func(w Webhook) bool { return len(w.Headers) == 1 && w.Headers[0].Value == "7" }},
		"a list of headers":      {with(`"headers": []`), "", "all of them", nil},
		"the usual numbers":      {with(`"max_retries": 3, "retry_delay": 60, "timeout": 10`), "", "", func(w Webhook) bool { return len(w.Options) == 0 }},
		"other numbers":          {with(`"max_retries": 0, "timeout": "7"`), "", "", func(w Webhook) bool { return len(w.Options) == 2 && w.Options[1].Value == 7 }},
		"no number":              {with(`"timeout": 1.5`), "", "timeout was left out", nil},
		"a field we do not know": {with(`"ssl_verify": false`), "", "ssl_verify was left out", nil},
		"whsec_":                 {with(`"secret": "whsec_YWJj"`), "", "whsec_", nil},
		"a number as its name":   {strings.Replace(with(`"enabled": true`), `"a"`, `7`, 1), "", "name was left out", func(w Webhook) bool { return w.Name == "webhook" }},
	} {
		got, left, err := FromDump(strings.NewReader(tt.dump))
		said := strings.Join(left, "\n")
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v", what, err)
			}
		case err != nil || len(got) != 1:
			t.Errorf("%s: %v, %v", what, got, err)
		case !strings.Contains(said, tt.left), tt.left == "" && said != "":
			t.Errorf("%s: it says %q", what, said)
		case tt.want != nil && !tt.want(got[0]):
			t.Errorf("%s: %+v", what, got[0])
		}
	}
}

func TestName_IsOneThatAgentTomlTakesAndNoneIsUsedTwice(t *testing.T) {
	used := map[string]bool{}
	for _, text := range append([]string{"Slack für Büro", "slack", "slack", "...", "-a-", strings.Repeat("long ", 40)}, hostile...) {
		n := len(used)
		if name := Name(text, used); len(used) != n+1 || len(name) > 64 || name != notName.ReplaceAllString(name, "") || strings.Trim(name, "-._") != name {
			t.Errorf("%q: %q", text, name)
		}
	}
}

func TestFormatFor_KnowsTheServices(t *testing.T) {
	for url, want := range map[string]string{
		"https://hooks.slack.com/services/T/B/x": "slack", "https://discord.com/api/webhooks/1/x": "discord", "https://discordapp.com/api/v10/webhooks/1/x": "discord",
		"https://discord.com/api/webhooks/1/x/slack": "slack", "https://acme.webhook.office.com/webhookb2/x": "teams", "https://ntfy.sh/topic": "ntfy",
		"https://prod-1.westeurope.logic.azure.com:443/workflows/x": "teams",
		"https://example.org/hooks.slack.com":                       "json", "https://nothooks.slack.com.evil.example/": "json", "::": "json", "": "json",
	} {
		if got := FormatFor(url); got != want {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestWrite_ReplacesNothingAndLeavesNothingHalfDone(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "conf", "mine.toml")
	files := []File{{"agent.toml", []byte("one")}, {"secrets/a.secret", []byte("s")}}
	if err := Write(target, files, false); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{target: 0o600, filepath.Join(dir, "conf/secrets/a.secret"): 0o600, filepath.Join(dir, "conf/secrets"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// A secret that is there stops all of it, a link too.
	other := filepath.Join(dir, "conf", "other.toml")
	if err := Write(other, files, false); err == nil {
		t.Error("a secret was replaced")
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("half of it was written")
	}
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(dir, "linked.toml")
	if err := os.Symlink(victim, linked); err != nil {
		t.Fatal(err)
	}
	if err := Write(linked, files[:1], false); err == nil {
		t.Error("a link was followed")
	}
	if err := Write(linked, files[:1], true); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(victim); string(data) != "keep" {
		t.Errorf("what the link pointed to is now %q", data)
	}
	if err := Write(target, []File{{"agent.toml", []byte("two")}}, true); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(target); string(data) != "two" {
		t.Errorf("%q", data)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".init-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
