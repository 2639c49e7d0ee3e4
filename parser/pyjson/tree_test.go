package pyjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// asDecoded is what encoding/json makes of a text, with its numbers as Decode has them.
func asDecoded(t *testing.T, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return numbers(v)
}

func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, _ := v.Float64()
			return f
		}
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
	}
	return v
}

func TestDecode_IsWhatTheStandardLibraryDecodes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rounds := race.Rounds(20_000, 2_000)
	texts := append(oddJSON(), floats(r, rounds/4)...)
	for range rounds {
		texts = append(texts, randomJSON(r, 4))
	}
	compared := 0
	for _, text := range texts {
		canonical, err := Canonical([]byte(text))
		if err != nil {
			continue
		}
		got, err := Decode(canonical)
		if want := asDecoded(t, canonical); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%.300s: %v, %v, want %v", canonical, got, err, want)
		}
		compared++
	}
	if compared < rounds {
		t.Errorf("only %d texts compared", compared)
	}
}

func TestDecode_RefusesWhatIsNotJSON(t *testing.T) {
	for _, text := range []string{``, `{`, `[1,]`, `{"a":}`, `{"a" 1}`, `{a:1}`, `NaN`, `-Infinity`, `[Infinity]`, `1 2`, `"\x"`, "\"\xff\"", strings.Repeat("[", 2000), `tru`, `{"a":1 "b"}`, `[1 2]`} {
		if v, err := Decode([]byte(text)); err == nil {
			t.Errorf("%.20s: %v", text, v)
		}
	}
}

// small are texts of a mebibyte that decode to the most.
func small() map[string]string {
	fill := func(begin, part, end string) string {
		return begin + strings.Repeat(part, (1<<20-len(begin)-len(end))/len(part)) + end
	}
	keys := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"event_type":"x"`)
		for i := range n {
			fmt.Fprintf(&b, `,"%x":0`, i)
		}
		return b.String() + "}"
	}
	return map[string]string{
		"objects of one":  fill(`[0`, `,{"":0}`, `]`),
		"empty objects":   fill(`[0`, `,{}`, `]`),
		"empty arrays":    fill(`[0`, `,[]`, `]`),
		"arrays":          fill(`[0`, `,[0]`, `]`),
		"numbers":         fill(`[0`, `,1`, `]`),
		"large numbers":   fill(`[0`, `,999`, `]`),
		"huge numbers":    fill(`[0`, `,99999999999999999999`, `]`),
		"floats":          fill(`[0`, `,0.5`, `]`),
		"empty strings":   fill(`[0`, `,""`, `]`),
		"short strings":   fill(`[0`, `,"ab"`, `]`),
		"escaped strings": fill(`[0`, `,"\u00e9"`, `]`),
		"one string":      fill(`["`, `x`, `"]`),
		"objects of nine": fill(`[0`, `,{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0}`, `]`),
		"keys":            keys(100_000),
		"keys, 113":       fill(`[0`, `,`+keys(113), `]`),
		"deep":            fill(`[0`, `,`+strings.Repeat("[", 890)+strings.Repeat("]", 890), `]`),
	}
}

func TestTreeSize_IsNeverBelowWhatDecodeKeeps(t *testing.T) {
	all := small()
	for _, name := range race.Part(slices.Sorted(maps.Keys(all)), 4) {
		text := all[name]
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		v, err := Decode([]byte(text))
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kept, size := int(after.HeapAlloc-before.HeapAlloc), TreeSize([]byte(text))
		t.Logf("%-16s %d KiB of text, %d KiB kept, %d KiB allocated, %d KiB estimated", name, len(text)>>10, kept>>10, (after.TotalAlloc-before.TotalAlloc)>>10, size>>10)
		if kept > size {
			t.Errorf("%s: %d KiB, estimated as %d", name, kept>>10, size>>10)
		}
		runtime.KeepAlive(v)
	}
}

func TestScan_FindsWhatDecodeFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range race.Rounds(20_000, 2_000) {
		text := []byte(randomJSON(r, 4))
		v, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		got := any(nil)
		switch v.(type) {
		case map[string]any:
			object := map[string]any{}
			for key, value := range Members(text) {
				k, err1 := Decode(key)
				e, err2 := Decode(value)
				if err1 != nil || err2 != nil {
					t.Fatalf("%s: %s: %s", text, key, value)
				}
				object[k.(string)] = e
			}
			got = object
		case []any:
			array := []any{}
			for element := range Elements(text) {
				e, err := Decode(element)
				if err != nil {
					t.Fatalf("%s: %s", text, element)
				}
				array = append(array, e)
			}
			got = array
		default:
			got = v
		}
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("%s: %v, want %v", text, got, v)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"}]\""}]}`, `{"a":1,"b"`, `[[],[]`, `{"a":1]`, `["\\",]`, `{"a"`, `["`, ` [ 1 , 2 ] x`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		for key, value := range Members(text) {
			if n += len(key) + len(value); len(key) < 2 || len(value) == 0 {
				t.Fatalf("%q: %q", key, value)
			}
		}
		for value := range Elements(text) {
			if n += len(value); len(value) == 0 {
				t.Fatal("nothing is an element")
			}
		}
		if n > len(text) || TreeSize(text) <= 0 {
			t.Fatalf("%d bytes of %d", n, len(text))
		}
		if v, err := Decode(text); err == nil && v == nil && !bytes.Contains(text, []byte("null")) {
			t.Fatal("nothing decoded")
		}
	})
}
