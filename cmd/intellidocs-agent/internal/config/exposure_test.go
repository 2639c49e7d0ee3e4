package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSlips_APathThatCanOnlyBeAMistakeIsAnError(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		"/log/*.log": "patterns", "/log/paperless?.log": "patterns", "/log/{a,b}.log": "patterns", "/log/{}": "patterns", "/log/[ab].log": "patterns",
		"~/log": "home directory", "~paperless/log": "home directory", "$HOME/log": "variables", "/log/${NAME}.log": "variables", "/log/$(date)": "variables",
		"%HOME%/log": "variables", "/log/paperless-%Y-%m-%d.log": "variables and dates", "/log/paperless.log ": "space", " /log/paperless.log": "space", "/log/paperless.log\t": "space",
		"'/log/paperless.log'": "quotes", "\"/log\"": "quotes", "file:///log/paperless.log": "URL", `C:\log\paperless.log`: "directories", "/log/a\x1bb": "control",
		"/log/paperless.log": "", "/log/Ablage (neu)/paperless-1.log": "", "paperless.log": "", "/log/100%.log": "", "/log/a$.log": "", "/log/a~": "", "/log/ümlaut.log": "",
	} {
		for _, source := range []string{"type = \"log\"", "type = \"spool\""} {
			_, err := load(t, fmt.Sprintf("[[source]]\n%s\npath = %s\n%s", source, tomlString(path), hook), nil)
			switch {
			case want == "" && err != nil:
				t.Errorf("%q: %v", path, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), "agent.toml:3: source[0].path: ") || !strings.Contains(err.Error(), want)):
				t.Errorf("%q: %v, want %q", path, err, want)
			}
		}
	}
	// What is there under that very name is meant.
	odd := filepath.Join(dir, "a*{b} $HOME ")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, fmt.Sprintf("[[source]]\npath = %s\n%s", tomlString(odd), hook), nil); err != nil {
		t.Error(err)
	}
	if _, err := load(t, "[state]\npath = \"~/state\"\n"+hook, nil); err == nil || !strings.Contains(err.Error(), "agent.toml:2: [state].path: ") {
		t.Error(err)
	}
}

func tomlString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\x1b", `\u001b`).Replace(s) + `"`
}

func TestExposure_WeakSecretsAreWarnedOf(t *testing.T) {
	for secret, weak := range map[string]bool{
		"a": true, "0123456789abcde": true, "whsec_AAAA": true, "whsec_MDEyMzQ1Njc4OWFiY2Rl": true,
		"0123456789abcdef": false, "whsec_MDEyMzQ1Njc4OWFiY2RlZg==": false,
	} {
		path := write(t, filepath.Join(t.TempDir(), "secret"), secret)
		for _, text := range []string{
			fmt.Sprintf("secret = %q\n", secret), "secret_env = \"SECRET\"\n", fmt.Sprintf("secret_file = %q\n", path),
			"secret_env = \"LONG\"\nprevious_secrets = [{ secret_env = \"SECRET\" }]\n",
		} {
			c, err := load(t, "[[source]]\npath = \"/log\"\n"+hook+text, vars{"SECRET": secret, "LONG": strings.Repeat("x", 32)})
			if err != nil {
				t.Fatal(err)
			}
			warned := false
			for _, w := range c.Warnings {
				warned = warned || strings.Contains(w.Text, "can be guessed") && w.Line > 2
				if strings.Contains(w.String(), secret) && len(secret) > 3 {
					t.Errorf("%s has the secret in it", w)
				}
			}
			if warned != weak {
				t.Errorf("%q in %q: %v", secret, text, c.Warnings)
			}
		}
	}
}

func TestExposure_CredentialsInTheClearAreWarnedOf(t *testing.T) {
	for text, warned := range map[string]bool{
		`url = "http://user:pw@hooks.example.org/"`:                                    true,
		`url = "http://user@8.8.8.8/"`:                                                 true,
		`url = "http://hooks.slack.com/services/T0/B0/xyz"`:                            true,
		`url = "http://example.org/"` + "\nheaders = { Authorization = \"Bearer x\" }": true,
		`url = "http://example.org/"` + "\nheaders = { X-Api-Key = \"x\" }":            true,
		`url = "HTTP://[2606:4700::1]/"` + "\nheaders = { X-Auth-Token = \"x\" }":      true,
		`url = "http://example.org/"` + "\nheaders = { X-Team = \"docs\" }":            false,
		`url = "http://example.org/"`:                                                  false,
		`url = "https://user:pw@example.org/"`:                                         false,
		`url = "http://user:pw@receiver:8000/"`:                                        false,
		`url = "http://user:pw@127.0.0.1/"`:                                            false,
		`url = "http://user:pw@192.168.1.2/"`:                                          false,
		`url = "http://user:pw@[fd00::1]/"`:                                            false,
		`url = "http://user:pw@nas.local/"`:                                            false,
		`url = "http://user:pw@hook.default.svc.cluster.local/"`:                       false,
	} {
		c, err := load(t, "[[source]]\npath = \"/log\"\n[[webhook]]\nname = \"a\"\n"+text+"\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, w := range c.Warnings {
			found = found || strings.Contains(w.Text, "unencrypted") && w.Line > 3
			if strings.Contains(w.String(), "pw") {
				t.Errorf("%s has the password in it", w)
			}
		}
		if found != warned {
			t.Errorf("%s: %v", text, c.Warnings)
		}
	}
}

func TestExposure_ASharedLogWithoutAKeyIsWarnedOf(t *testing.T) {
	for source, warned := range map[string]bool{
		`type = "log"` + "\n" + `path = "/var/log/paperless.log"`:                                                     true,
		`type = "log"` + "\n" + `path = "/var/log/paperless.log"` + "\n" + `key = "0123456789abcdef0123456789abcdef"`: false,
		`type = "log"` + "\n" + `path = "/var/log/ai_webhooks.log"`:                                                   false,
		`type = "spool"` + "\n" + `path = "/var/log/paperless.log"`:                                                   false,
	} {
		c, err := load(t, "[[source]]\n"+source+"\n[[webhook]]\nname = \"a\"\nurl = \"https://example.org/\"\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(c.Warnings, func(p Problem) bool { return strings.Contains(p.Text, "look like events") })
		if got != warned {
			t.Errorf("%s: %v", source, c.Warnings)
		}
	}
}

func TestExposure_FilesThatOthersReadOrChangeAreWarnedOf(t *testing.T) {
	const inline = "secret = \"0123456789abcdef\"\n"
	for name, c := range map[string]struct {
		text                    string
		config, secret, dir     os.FileMode
		readable, writable, put int
	}{
		"private":                       {inline, 0o600, 0o600, 0o755, 0, 0, 0},
		"readable with a secret":        {inline, 0o644, 0o600, 0o755, 1, 0, 0},
		"readable by the group":         {inline, 0o640, 0o600, 0o755, 0, 0, 0},
		"readable with a signing key":   {"signing_key = \"x\"\n", 0o644, 0o600, 0o755, 1, 0, 0},
		"readable with an old secret":   {"secret_file = \"secret\"\nprevious_secrets = [{ secret = \"0123456789abcdef\" }]\n", 0o644, 0o600, 0o755, 1, 0, 0},
		"readable with a header":        {"headers = { Authorization = \"Bearer x\" }\n", 0o644, 0o600, 0o755, 1, 0, 0},
		"readable without any":          {"secret_file = \"secret\"\n", 0o644, 0o600, 0o755, 0, 0, 0},
		"a secret that others change":   {"secret_file = \"secret\"\n", 0o644, 0o666, 0o755, 0, 1, 0},
		"a file that others change":     {"", 0o646, 0o600, 0o755, 0, 1, 0},
		"a directory that others write": {"secret_file = \"secret\"\n", 0o600, 0o600, 0o777, 0, 0, 1},
		"one with the sticky bit":       {"secret_file = \"secret\"\n", 0o600, 0o600, 0o777 | os.ModeSticky, 0, 0, 0},
		"a token that others change":    {"[admin]\ntoken_file = \"secret\"\n", 0o600, 0o622, 0o755, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "agent.toml"), "[[source]]\npath = \"/log\"\n"+hook+c.text)
			secret := write(t, filepath.Join(dir, "secret"), "0123456789abcdef0123")
			for p, mode := range map[string]os.FileMode{path: c.config, secret: c.secret, dir: c.dir} {
				if err := os.Chmod(p, mode); err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := Load(path, vars{}.lookup)
			if err != nil {
				t.Fatal(err)
			}
			count := func(text string) (n int) {
				for _, w := range cfg.Warnings {
					if strings.Contains(w.Text, text) {
						n++
					}
				}
				return n
			}
			if count("may read it") != c.readable || count("may change it") != c.writable || count("may replace it") != c.put {
				t.Errorf("%v", cfg.Warnings)
			}
		})
	}
}

func TestSecurity_ANetworkThatNeverMatchesIsWarnedOf(t *testing.T) {
	for cidr, want := range map[string]string{"::ffff:10.0.0.0/104": "write 10.0.0.0/8", "::ffff:10.1.2.3": "write 10.1.2.3/32", "10.0.0.0/8": "", "fd00::/8": ""} {
		c, err := load(t, fmt.Sprintf("[[source]]\npath = \"/log\"\n[security]\nallowed_cidrs = [%q]\n", cidr)+hook, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(c.Warnings) != 0 || want != "" && (len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].String(), want)) {
			t.Errorf("%s: %v", cidr, c.Warnings)
		}
	}
}

func TestExposure_WhatAProxyTakesOutOfTheRulesHandsIsSaid(t *testing.T) {
	for _, c := range []struct {
		security, proxy string
		warned          bool
	}{
		{"proxy = \"environment\"\nallow_internal_requests = false", "http://proxy:3128", true},
		{"proxy = \"environment\"\nallow_internal_requests = false", "", false},
		{"proxy = \"environment\"", "http://proxy:3128", false},
		{"allow_internal_requests = false", "http://proxy:3128", false},
	} {
		cfg, err := load(t, hook+"[security]\n"+c.security+"\n", map[string]string{"HTTPS_PROXY": c.proxy})
		if err != nil {
			t.Fatal(err)
		}
		warned := false
		for _, w := range cfg.Warnings {
			warned = warned || strings.Contains(w.String(), "the proxy resolves")
		}
		if warned != c.warned {
			t.Errorf("%q with %q: %v", c.security, c.proxy, cfg.Warnings)
		}
	}
}
