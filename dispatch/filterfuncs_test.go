package dispatch

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/dispatch/tree"
)

func TestFilter_FunctionsThatAreCountedDoWhatTheBuiltInOnesDo(t *testing.T) {
	const body = `{"s": "a,b,,c", "n": 7, "f": 1.5, "o": {"x": 1, "y": "z"}, "l": [1, 2], "t": "Ärger", "e": ""}`
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{`split(s, ",")[1] == "b" && len(split(s, ",")) == 4`, true},
		{`len(split(s, ",", 2)) == 2 && split(s, ",", 2)[1] == "b,,c"`, true},
		{`len(split(t, "")) == 5`, true},
		{`len(split(e, ",")) == 1 && len(split(e, "")) == 0`, true},
		{`s | split(",") | len() == 4`, true},
		{`"x" in keys(o) and len(keys(o)) == 2`, true},
		{`any(values(o), # == "z")`, true},
		{`string(n) == "7" && string(s) == s && string(l) == "[1 2]" && string(nil) == "<nil>"`, true},
		{`upper(t) == "ÄRGER" && lower(upper(t)) == "ärger"`, true},
		{`s + "!" == "a,b,,c!" && "!" + s == "!a,b,,c" && "a" + "b" == "ab"`, true},
		{`n + 1 == 8 && n + f == 8.5 && 1 + 2 == 3 && f + n == 8.5`, true},
		{`string(n) + string(n) == "77"`, true},
		{`date("2026-01-02") + duration("24h") == date("2026-01-03")`, true},
		{`int(n) + len(l) in 5..10`, true},
		{`lower(s) != upper(t) && lower(t) == "ärger" && lower(s) == s`, true},
	} {
		got := false
		err := tree.Use([]byte(body), func(payload map[string]any) (err error) {
			got, err = newFilter(t, c.filter).match(payload, 0)
			return err
		})
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.filter, got, err)
		}
	}
	for _, filter := range []string{`len(split(n, ",")) > 0`, `len(keys(l)) > 0`, `len(values(s)) > 0`, `upper(n) == "7"`, `s + n == "x"`} {
		err := tree.Use([]byte(body), func(payload map[string]any) error {
			_, err := newFilter(t, filter).match(payload, 0)
			return err
		})
		if err == nil {
			t.Errorf("%s has an answer", filter)
		}
	}
}

// A list of words is looked for in one long text, as people do.
func TestFilter_TheSameTextIsMadeOnce(t *testing.T) {
	body := []byte(`{"z": "` + strings.Repeat("Mahnung Rechnung ", 50_000) + `"}`)
	words := strings.Repeat(`"nowhere", `, 40) + `"rechnung"`
	err := tree.Use(body, func(payload map[string]any) error {
		for range 2 {
			if ok, err := newFilter(t, `any([`+words+`], lower(z) contains #)`).match(payload, len(body)); err != nil || !ok {
				t.Errorf("%v, %v", ok, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What is wrong with an expression is said of what was written.
func TestFilter_WrongCallsAreRefusedByTheirNames(t *testing.T) {
	for _, filter := range []string{`lower(document.title == "X") == "x"`, `upper(len(tags)) == "3"`, `len(split(x)) > 0`, `split(x, len(y))[0] == ""`, `"n" + len(tags) == "n1"`} {
		if _, err := NewFilter(filter); err == nil || strings.Contains(err.Error(), "__") {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

func TestFilter_WhatItMakesIsBounded(t *testing.T) {
	text, _ := json.Marshal(strings.Repeat("x,", 300_000))
	body := []byte(`{"z": ` + string(text) + `, "l": [` + strings.TrimSuffix(strings.Repeat("1,", 20_000), ",") + `]}`)
	for _, filter := range []string{
		`len(split(z, "")) > 0`,
		`len(split(string(z), ",")) > 0`,
		`len(split(z, ",", 290000)) > 0`,
		`any(l, len(split(z, ",", 1000)) < 0)`,
		`any(l, upper(z + string(#)) == "")`,
		`any(l, lower(z) + upper(z) + string(#) == "")`,
		`any(l, string(l) == "")`,
		`any(l, z + string(#) == "")`,
		`let a = z + z; let b = a + a; let c = b + b; len(c) > 0`,
		`any(l, any(keys($env), # == "")) || any(l, any(values($env), # == "")) || any(l, z + string(#) == "")`,
	} {
		var made uint64
		err := tree.Use(body, func(payload map[string]any) error {
			f := newFilter(t, filter)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := f.match(payload, 0)
			runtime.ReadMemStats(&after)
			made = after.TotalAlloc - before.TotalAlloc
			return err
		})
		if err == nil {
			t.Errorf("%s ran to its end", filter)
		}
		if made > 3*filterMaxBytes {
			t.Errorf("%s made %d MiB", filter, made>>20)
		}
	}
}
