// Package template renders an event by a template that somebody wrote for it: text/template,
// made safe with any payload. What a template writes fits the place it is written to, is
// valid for its content type, and is bounded.
package template

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/url"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/tree"
)

// Bounds on what a template may be and do. Loops, calls and the functions' work are counted rather
// than timed, so that a busy machine renders what an idle one does.
const (
	maxTemplate = 256 << 10 // bytes of its text
	maxRender   = 256 << 10 // bytes it may write
	maxLoops    = 100_000   // turns of all its ranges
	maxCalls    = 2_000     // uses of {{template}}, which may nest
	maxWork     = 16 << 20  // bytes that its functions may read and make, or four times the event's
	maxText     = 4 << 20   // bytes of one text that they work on, or the event's
)

var (
	errTooLong = fmt.Errorf("its output is larger than %d KiB", maxRender>>10)
	errLoops   = fmt.Errorf("its ranges loop more than %d times", maxLoops)
	errCalls   = fmt.Errorf("it uses {{template}} more than %d times; does one use itself?", maxCalls)
	errWork    = fmt.Errorf("its functions work on more than %d MiB of text, and more than four times the event", maxWork>>20)
	errText    = fmt.Errorf("its functions make a text of more than %d MiB, and longer than the event", maxText>>20)
)

// ErrContentType is New's error where the content type is at fault and not the template.
var ErrContentType = errors.New(`content_type must be such as "text/plain; charset=utf-8"`)

// medium is what a template's output must be valid as.
type medium uint8

const (
	anyMedium medium = iota
	jsonMedium
	xmlMedium
	formMedium
	textMedium
)

// Event is what a template renders.
type Event struct {
	EventID    string
	EventType  string
	DeliveryID string
	Body       []byte // canonical bytes
}

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	parsed      *texttemplate.Template
	contentType string
	medium      medium
}

const jsonType = "application/json"

// New parses a template whose output is of a content type; empty: application/json. An
// error says what is wrong with either.
func New(source, contentType string) (*Template, error) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, errors.New("the template is empty")
	case len(source) > maxTemplate:
		return nil, fmt.Errorf("the template has more than %d KiB", maxTemplate>>10)
	}
	contentType = cmp.Or(contentType, jsonType)
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(media, "/") {
		return nil, fmt.Errorf("%w, not %q", ErrContentType, contentType)
	}
	// The run's own functions are here for their names; each run brings its own.
	t, err := texttemplate.New("template").Funcs((&run{}).funcs()).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}
	for _, part := range t.Templates() {
		if err := guard(part.Tree); err != nil {
			return nil, fmt.Errorf("the template cannot be read: %w", err)
		}
	}
	return &Template{parsed: t, contentType: contentType, medium: mediumOf(media)}, nil
}

// Render returns the body and its content type. An error is for good: the same event will
// not render another time either.
func (t *Template) Render(e Event) ([]byte, string, error) {
	out, err := execute(t.parsed, t.medium, e)
	if err != nil {
		return nil, "", err
	}
	return out, t.contentType, nil
}

func mediumOf(media string) medium {
	switch {
	case media == jsonType, strings.HasSuffix(media, "+json"):
		return jsonMedium
	case media == "application/xml", media == "text/xml", strings.HasSuffix(media, "+xml"):
		return xmlMedium
	case media == "application/x-www-form-urlencoded":
		return formMedium
	case strings.HasPrefix(media, "text/"):
		return textMedium
	}
	return anyMedium
}

func execute(t *texttemplate.Template, m medium, in Event) (out []byte, err error) {
	err = tree.Use(in.Body, func(payload map[string]any) error {
		out, err = fill(t, m, in, payload)
		return err
	})
	return out, err
}

// fill executes a template over an event and its payload.
func fill(t *texttemplate.Template, m medium, in Event, payload map[string]any) ([]byte, error) {
	data := maps.Clone(payload)
	data["event"], data["event_id"], data["event_type"], data["delivery_id"] = payload, in.EventID, in.EventType, in.DeliveryID

	t, err := t.Clone()
	if err != nil {
		return nil, fmt.Errorf("the template cannot be used: %w", err)
	}
	r := &run{medium: m, size: len(in.Body)}
	if err := t.Funcs(r.funcs()).Execute(&r.out, data); err != nil {
		return nil, fmt.Errorf("the template fails on this event: %w", err)
	}
	out := r.out.Bytes()
	if at, err := check(m, out); err != nil {
		return nil, fmt.Errorf("at line %d of the template: what it prints for this event is %w", r.lineAt(at), err)
	}
	return out, nil
}

// check says whether the output is what its content type promises, and where it is not.
func check(m medium, out []byte) (at int, err error) {
	switch m {
	case jsonMedium:
		var v json.RawMessage
		err := json.Unmarshal(out, &v)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = int(syntax.Offset)
		}
		if err != nil {
			return at, fmt.Errorf("not valid JSON: %w, near %q", err, near(out, at))
		}
	case xmlMedium:
		d := xml.NewDecoder(bytes.NewReader(out))
		for elements := 0; ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) && elements > 0 {
				return 0, nil
			} else if err != nil {
				at = int(d.InputOffset())
				return at, fmt.Errorf("not well-formed XML: %w, near %q", err, near(out, at))
			}
			if _, ok := token.(xml.StartElement); ok {
				elements++
			}
		}
	case formMedium:
		if _, err := url.ParseQuery(string(out)); err != nil {
			return 0, fmt.Errorf("no valid form: %w", err)
		}
	case textMedium:
		if !utf8.Valid(out) {
			return 0, errors.New("not valid UTF-8")
		}
	}
	return 0, nil
}

func near(out []byte, at int) []byte {
	from, to := max(0, at-20), min(len(out), at+20)
	return bytes.ToValidUTF8(out[min(from, to):to], nil)
}
