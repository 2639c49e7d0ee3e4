package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/term"
)

// What is read of a dump.
const (
	maxDump     = 64 << 20
	maxWebhooks = 500
)

const model = "documents.aiwebhookconfig"

// record is one of Django's serialised objects.
type record struct {
	Model  string                     `json:"model"`
	Fields map[string]json.RawMessage `json:"fields"`
}

// FromDump reads the output of "manage.py dumpdata documents.AIWebhookConfig": a JSON array,
// or an object a line (--format jsonl). dropped says what cannot be carried over.
func FromDump(r io.Reader) (webhooks []Webhook, dropped []string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDump+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxDump {
		return nil, nil, fmt.Errorf("it is larger than %d MiB: dump documents.AIWebhookConfig alone", maxDump>>20)
	}
	records, err := parseDump(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, nil, fmt.Errorf("it is not what 'manage.py dumpdata documents.AIWebhookConfig' prints: %w", err)
	}
	others := 0
	used := map[string]bool{}
	for _, rec := range records {
		if !strings.EqualFold(rec.Model, model) {
			others++
			continue
		}
		if len(webhooks) == maxWebhooks {
			return nil, nil, fmt.Errorf("it has more than %d webhooks", maxWebhooks)
		}
		w, notes := convert(rec.Fields, used)
		for _, n := range notes {
			dropped = append(dropped, fmt.Sprintf("webhook %q: %s", w.Name, n))
		}
		webhooks = append(webhooks, w)
	}
	if len(webhooks) == 0 {
		return nil, nil, fmt.Errorf("it contains no %s (but %s of other models): run 'manage.py dumpdata documents.AIWebhookConfig'", model, term.Count(others, "object", "objects"))
	}
	if others > 0 {
		dropped = append(dropped, term.Count(others, "object", "objects")+" of other models")
	}
	return webhooks, dropped, nil
}

func parseDump(data []byte) (records []record, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return records, nil
		} else if err != nil {
			return nil, readable(err)
		}
		some := []record{{}}
		if bytes.HasPrefix(raw, []byte("[")) {
			err = json.Unmarshal(raw, &some)
		} else {
			err = json.Unmarshal(raw, &some[0])
		}
		if err != nil {
			return nil, readable(err)
		}
		records = append(records, some...)
	}
}

// readable is an error of the JSON package without Go's names.
func readable(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.As(err, &wrong):
		return fmt.Errorf("a %s where Django writes an object with model and fields", wrong.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is cut off")
	}
	return err
}

// numbers are the model's with their defaults there, which are ours too.
var numbers = []struct {
	field string
	usual int
}{{"max_retries", 3}, {"retry_delay", 60}, {"timeout", 10}}

// silent are fields of the model that say nothing about how to deliver.
var silent = []string{"created", "created_at", "updated", "updated_at", "modified", "owner", "description"}

func convert(fields map[string]json.RawMessage, used map[string]bool) (w Webhook, notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	text := func(field string) string {
		var s *string
		raw := take(fields, field)
		if raw != nil && json.Unmarshal(raw, &s) != nil {
			note("%s was left out: it is not a text", field)
		}
		if s == nil {
			return ""
		}
		return *s
	}
	given := text("name")
	if w.Name = Name(given, used); w.Name != given {
		w.Note = fmt.Sprintf("%q in IntelliDocs", given)
	}
	w.URL = strings.TrimSpace(text("url"))
	w.Format = FormatFor(w.URL)
	w.Secret = text("secret")
	if strings.HasPrefix(w.Secret, "whsec_") {
		note("its secret begins with whsec_: the agent decodes such a secret, as Standard Webhooks has it, and IntelliDocs signed with it as it is")
	}
	enabled := true
	if raw := take(fields, "enabled"); raw != nil && json.Unmarshal(raw, &enabled) != nil {
		enabled = false
		note("enabled is neither true nor false, and so it is disabled")
	}
	w.Disabled = !enabled
	events, ok := eventList(take(fields, "events"))
	if !ok {
		w.Disabled = true
		note("events was left out, and so it is disabled: it is not a list of texts")
	}
	w.Events = events
	var bad []string
	w.Headers, bad = headerList(take(fields, "headers"))
	for _, name := range bad {
		note("the header %q was left out: its value is not a text", name)
	}
	for _, n := range numbers {
		raw := take(fields, n.field)
		v, err := strconv.Atoi(strings.Trim(string(raw), `"`))
		switch {
		case raw == nil:
		case err != nil:
			note("%s was left out: it is not a whole number", n.field)
		case v != n.usual:
			w.Options = append(w.Options, Option{n.field, v})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(silent, field) {
			note("%s was left out: the agent has nothing like it", field)
		}
	}
	return w, notes
}

// take removes a field and returns it, nil where there is none or null.
func take(fields map[string]json.RawMessage, name string) json.RawMessage {
	raw := fields[name]
	delete(fields, name)
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// unwrap returns the JSON that a text holds, as dumps of a database without a JSON type have it.
func unwrap(raw json.RawMessage) json.RawMessage {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return json.RawMessage(s)
	}
	return raw
}

func eventList(raw json.RawMessage) (events []string, ok bool) {
	if raw == nil {
		return nil, true
	}
	if err := json.Unmarshal(unwrap(raw), &events); err != nil {
		return nil, string(unwrap(raw)) == ""
	}
	if slices.Contains(events, "all") || slices.Contains(events, "*") {
		return nil, true
	}
	return events, true
}

func headerList(raw json.RawMessage) (headers []Header, bad []string) {
	if raw == nil || len(unwrap(raw)) == 0 {
		return nil, nil
	}
	var all map[string]any
	if json.Unmarshal(unwrap(raw), &all) != nil {
		return nil, []string{"all of them"}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch v := all[name].(type) {
		case string:
			headers = append(headers, Header{name, v})
		case bool, float64:
			headers = append(headers, Header{name, fmt.Sprint(v)})
		default:
			bad = append(bad, name)
		}
	}
	return headers, bad
}
