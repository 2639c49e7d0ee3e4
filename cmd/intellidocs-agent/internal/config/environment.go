package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// report gathers what is wrong.
type report struct {
	errors   Errors
	warnings []Problem
}

// environ reads the environment's variables and reports what is wrong with them.
type environ struct {
	look func(name string) (string, bool)
	*report
}

// proxyVariables are those that net/http reads.
var proxyVariables = []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}

// proxies looks at the variables that net/http reads: one that it cannot use it would pass
// over, and send past the proxy. What they hold may be a password.
func (e environ) proxies() {
	for _, name := range proxyVariables {
		v, _ := e.look(name)
		text := v
		if !strings.Contains(v, "://") {
			text = "http://" + v // host:port is enough
		}
		u, err := url.Parse(text)
		switch {
		case v == "":
		case err != nil || u.Hostname() == "":
			e.wrong(name, "it must be the URL of a proxy, such as http://proxy.example.org:3128")
		case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
			e.wrong(name, "a proxy's URL begins with http://, https:// or socks5://")
		}
	}
}

// proxied reports whether the environment names a proxy.
func (e environ) proxied() bool {
	return slices.ContainsFunc(proxyVariables, func(name string) bool {
		v, _ := e.look(name)
		return v != ""
	})
}

// wrong reports what is wrong with a variable.
func (e environ) wrong(name, format string, args ...any) {
	e.errors = append(e.errors, Problem{File: "environment", Key: name, Text: fmt.Sprintf(format, args...)})
}

// truth reads a truth value as IntelliDocs does: whatever it does not know, "on"
// included, is false there, which deserves a word.
func (e environ) truth(name, v string) bool {
	v = strings.ToLower(v)
	yes := slices.Contains([]string{"yes", "y", "1", "t", "true"}, v)
	if !yes && !slices.Contains([]string{"no", "n", "0", "f", "false"}, v) {
		e.warnings = append(e.warnings, Problem{File: "environment", Key: name, Text: fmt.Sprintf("%q counts as false, as it does for IntelliDocs; write true or false", v)})
	}
	return yes
}

func commas(v string) []string {
	out := []string{}
	for part := range strings.SplitSeq(v, ",") {
		if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
			out = append(out, part)
		}
	}
	return out
}
