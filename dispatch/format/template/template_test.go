package template

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func render(t testing.TB, source, contentType, payload string) (string, string, error) {
	t.Helper()
	r, err := New(source, contentType)
	if err != nil {
		t.Fatal(err)
	}
	out, got, err := r.Render(Event{EventID: "evt_1", EventType: "scan_completed", DeliveryID: "dlv_1", Body: []byte(payload)})
	return string(out), got, err
}

const payload = `{"event_type":"scan_completed","timestamp":"2025-11-14T15:00:00.5+02:00","document":{"id":7,"title":"Say \"hi\" \\ <b> é\n","tags":["a",{"name":"b"},null],"owner":null},` +
	`"n":3,"score":0.5,"big":123456789012345678901234567890,"yes":true,"empty":[],"text":"5"}`

func TestTemplate_ValuesAndFunctions(t *testing.T) {
	for template, want := range map[string]string{
		`{{.event_id}} {{.delivery_id}} {{.event_type}}`:                                    `evt_1 dlv_1 scan_completed`,
		`{{.document.id}} {{.event.document.id}} {{(.document).id}}`:                        `7 7 7`,
		`{{.n}} {{.score}} {{.big}} {{.yes}}`:                                               `3 0.5 123456789012345678901234567890 true`,
		`[{{.missing}}{{.a.b.c}}{{.document.owner.name}}{{.n.x}}]`:                          `[]`,
		`{{.document.owner | default "nobody"}}{{.empty | default "-"}}`:                    `nobody-`,
		`{{get "document.id" .}}{{get "x.y" . | default 1}}`:                                `71`,
		`{{join ", " .document.tags}}|{{join "," .missing}}|{{join "," .n}}`:                `a, b||3`,
		`{{.document.title | oneline | truncate 8 | upper}}`:                                `SAY "HI…`,
		`{{.timestamp | date "2006-01-02 15:04"}} {{date "2006" .n}} {{date "2006" .text}}`: `2025-11-14 13:00 1970 5`,
		`{{if gt .n 2}}a{{end}}{{if gt .text 2}}b{{end}}{{if gt .document 2}}c{{end}}{{if lt .score 1}}d{{end}}{{if eq .event_type "x" "scan_completed"}}e{{end}}{{if eq .missing ""}}f{{end}}{{if ne .missing 1}}g{{end}}`: `abdeg`,
		`{{range $i, $t := .document.tags}}{{if $i}},{{end}}{{$t}}{{end}}`:                                                      `a,{"name":"b"},`,
		`{{range .n}}{{.}}{{end}}{{range .text}}x{{else}}none{{end}}{{range .missing}}x{{end}}`:                                 `012none`,
		`{{with .document}}{{.id}}{{$.n}}{{end}}{{with .missing}}x{{else}}y{{end}}`:                                             `73y`,
		`{{$d := .document}}{{$d.id}}{{$d.x.y}}`:                                                                                `7`,
		`{{index .document.tags 0}}{{index .document.tags 9}}{{index . "document" "id"}}{{len .document.tags}}{{len .missing}}`: `a730`,
		`{{define "x"}}<{{.id}}>{{end}}{{template "x" .document}}`:                                                              `<7>`,
		`{{printf "%05d %s" .n .text}}{{print 1 2}}`:                                                                            `00003 51 2`,
		`{{.document.title | trim | html}}`:                                                                                     `Say &#34;hi&#34; \ &lt;b&gt; é`,
		`{{urlquery "a b&"}}{{replace "5" "6" .text}}{{words "a_b"}}{{lower "A"}}`:                                              `a+b%266a ba`,
		`{{json .document.tags}}`:                                                                                               `["a",{"name":"b"},null]`,
	} {
		got, _, err := render(t, template, "text/plain; charset=utf-8", payload)
		if err != nil || got != want {
			t.Errorf("%s\ngives %q, %v\nnot   %q", template, got, err, want)
		}
	}
}

func TestTemplate_InJSONValuesFitTheirPlace(t *testing.T) {
	for template, want := range map[string]string{
		`{"a":"{{.document.title}}"}`:                                                    `{"a":"Say \"hi\" \\ <b> é\n"}`,
		`{"a":{{.document.title}}}`:                                                      `{"a":"Say \"hi\" \\ <b> é\n"}`,
		`{"a":{{.document.title | json}}}`:                                               `{"a":"Say \"hi\" \\ <b> é\n"}`,
		`{"a":"{{.document.title | jsonString}}"}`:                                       `{"a":"Say \"hi\" \\ <b> é\n"}`,
		`{"a":"{{.document.title | js}}"}`:                                               `{"a":"Say \"hi\" \\ <b> é\n"}`,
		`{"a":{{printf "%q" .text}},"b":{{printf "%d" .n}},"c":{{printf "%s!" .text}}}`:  `{"a":"5","b":3,"c":"5!"}`,
		`{"a":{{.n}},"b":{{.yes}},"c":{{.missing}},"d":{{.document.tags}},"e":{{.big}}}`: `{"a":3,"b":true,"c":null,"d":["a",{"name":"b"},null],"e":123456789012345678901234567890}`,
		`{"a":"{{.n}}{{.missing}}","b":"{{.document.tags}}"}`:                            `{"a":"3","b":"[\"a\",{\"name\":\"b\"},null]"}`,
		`{"a\"{{"}"}}":1}`:                                                               `{"a\"}":1}`,
	} {
		got, contentType, err := render(t, template, "", payload)
		if err != nil || got != want || contentType != "application/json" {
			t.Errorf("%s\ngives %s, %v\nnot   %s", template, got, err, want)
		}
	}
}

// Whoever can name a document could otherwise write the message.
func TestTemplate_APayloadCannotBreakOutOfItsString(t *testing.T) {
	for _, title := range []string{`","admin":true,"x":"`, `\`, `\"`, "\u2028\x00", `{"a":1}`, `1,"admin":true`, `</script>`} {
		p, err := json.Marshal(map[string]any{"title": title})
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := render(t, `{"a":"<{{.title}}>","b":{{.title}},"c":"{{printf "%s" .title}}","d":{{printf "%s" .title | oneline}}}`, "", string(p))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%q: %v: %s", title, err, out)
		}
		var want struct{ Title string }
		if err := json.Unmarshal(p, &want); err != nil {
			t.Fatal(err)
		}
		if len(got) != 4 || got["a"] != "<"+want.Title+">" || got["b"] != want.Title || got["c"] != want.Title {
			t.Errorf("%q renders %s", title, out)
		}
	}
}

func TestTemplate_WhatIsNotValidFailsWithReasonAndLine(t *testing.T) {
	for _, c := range []struct{ contentType, template, want string }{
		{"", "{\n\"a\": 1,\n{{.n}} }", "line 3 of the template"},
		{"", `{"a": "{{json .text}}"}`, "not valid JSON"},
		{"", ``, "empty"},
		{"", `{{if .missing}}{}{{end}}`, "not valid JSON"},
		{"application/vnd.x+json; charset=utf-8", `nope`, "not valid JSON"},
		{"application/xml", "<a>{{.document.title}}</a>", "not well-formed XML"},
		{"text/xml", "", "empty"},
		{"application/xml", "{{if .n}}{{end}}", "not well-formed XML"},
		{"application/x-www-form-urlencoded", "a=%zz", "no valid form"},
		{"", "{{range 1000}}{{range 1000}}{{end}}{{end}}", "100000 times"},
		{"", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "2000 times"},
		{"text/plain", "{{range 90000}}0123456789{{end}}", "256 KiB"},
		{"text/plain", `{{$x := "ab"}}{{range 64}}{{$x = print $x $x}}{{end}}`, "256 KiB"},
		{"text/plain", "a\n{{call .n}}", "template:2"},
	} {
		r, err := New(c.template, c.contentType)
		if err == nil {
			_, _, err = r.Render(Event{EventID: "evt_1", Body: []byte(payload)})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not about %q", c.template, err, c.want)
		}
	}
}

func TestTemplate_OtherContentTypesAreCheckedToo(t *testing.T) {
	for contentType, template := range map[string]string{
		"application/xml":                   `<a b="{{.document.title | xml}}">{{.n}}</a>`,
		"application/x-www-form-urlencoded": `title={{urlquery .document.title}}&n={{.n}}`,
		"text/plain":                        `{{.document.title}}`,
		"application/octet-stream":          `{{.n}}`,
	} {
		if out, got, err := render(t, template, contentType, payload); err != nil || got != contentType {
			t.Errorf("%s: %s, %s, %v", contentType, out, got, err)
		}
	}
}

func TestNew_RefusesWhatCannotBeWithAReason(t *testing.T) {
	for _, c := range []struct{ source, contentType, want string }{
		{" \n", "", "empty"},
		{"a\n{{.b", "", "template:2"},
		{"{{nope .b}}", "", `"nope" not defined`},
		{"a\n{{printf .b}}", "", "line 2: printf needs its format"},
		{"{{.b | printf}}", "", "printf needs its format"},
		{"x", "nonsense; =", "content_type"},
		{strings.Repeat("x", maxTemplate+1), "", "256 KiB"},
	} {
		if _, err := New(c.source, c.contentType); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q: %v, not about %q", c.source, err, c.want)
		}
	}
}

func TestTemplate_IsSafeForConcurrentUse(t *testing.T) {
	r, err := New(`{"a":[{{range $i, $x := .l}}{{if $i}},{{end}}"{{$x}}"{{end}}]}`, "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			for range 50 {
				out, _, err := r.Render(Event{EventID: "evt_1", Body: []byte(`{"l":[1,"\"",3]}`)})
				if err != nil || string(out) != `{"a":["1","\"","3"]}` {
					done <- string(out)
					return
				}
			}
			done <- ""
		}()
	}
	for range 8 {
		if bad := <-done; bad != "" {
			t.Error(bad)
		}
	}
}

// A payload cannot make a template work without end, nor take much memory for it.
func TestTemplate_WhatItsFunctionsDoIsBounded(t *testing.T) {
	body := `{"z": "` + strings.Repeat("&x", 150_000) + `", "sep": "` + strings.Repeat("s", 1000) + `", "l": [` +
		strings.TrimSuffix(strings.Repeat("1,", 50_000), ",") + `]}`
	for _, source := range []string{
		`{{range .l}}{{$x := json $}}{{end}}`,
		`{{range .l}}{{$x := len $.z}}{{end}}`,
		`{{range .l}}{{if eq $.z "a"}}{{end}}{{end}}`,
		`{{range .l}}{{$x := get "z" $ | trim}}{{end}}`,
		`{{$x := join .sep .l}}`,
		`{{$x := .z | html | html | html | html | html | html | html | html | html | html}}`,
		`{{$x := .z | xml | js | xml | urlquery | xml | urlquery | jsonString | xml | urlquery | xml | xml}}`,
		`{{$x := print .z .z .z .z .z .z .z .z .z .z .z .z .z .z .z}}`,
		`{{$x := printf "%s" .z | printf "%s%s" .z}}`,
		`{{range .l}}{{$x := print $.z $.z}}{{end}}`,
		`{{range .l}}{{$x := replace "&" "" $.z}}{{end}}`,
	} {
		tmpl, err := New(source, "text/plain")
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err = tmpl.Render(Event{EventID: "evt_1", Body: []byte(body)})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s is rendered", source)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 160<<20 { // most of it garbage; 50,000 times the payload are 50 GB
			t.Errorf("%s makes %d MiB", source, made>>20)
		}
	}
}

// Where longer lines are let in, an event's own text is not too long.
func TestTemplate_WorksOnTheTextsOfALargeEvent(t *testing.T) {
	long := strings.Repeat("x", maxText+100)
	for _, template := range []string{`{{.z | truncate 5}}`, `{{.z | upper | truncate 5}}`, `{{len .z}}`, `{{.z | html | oneline | truncate 5}}`} {
		if _, _, err := render(t, template, "text/plain", `{"z": "`+long+`"}`); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
}
