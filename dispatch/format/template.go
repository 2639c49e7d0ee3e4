package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"text/template"
)

// maxRender bounds what a template may write.
const maxRender = 256 << 10

var errTooLong = fmt.Errorf("the template writes more than %d KiB", maxRender>>10)

// funcs are what templates can use beside text/template's own. json writes a value as
// JSON, strings in their quotes, so that no payload can break out of them.
var funcs = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := encode(v)
		return string(b), err
	},
	"truncate": func(n int, v any) string { return clip(text(v), max(n, 1)) },
	"join":     func(sep string, v any) string { return strings.Join(texts(v), sep) },
	"upper":    func(v any) string { return strings.ToUpper(text(v)) },
	"lower":    func(v any) string { return strings.ToLower(text(v)) },
	"oneline":  func(v any) string { return oneLine(text(v)) },
	"default": func(def, v any) any {
		if v == nil || text(v) == "" && !isContainer(v) {
			return def
		}
		return v
	},
	// get follows a path such as "document.title"; what is missing on the way is nil.
	"get": func(path string, v any) any {
		for key := range strings.SplitSeq(path, ".") {
			v = object(v)[key]
		}
		return v
	},
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func text(v any) string {
	if v == nil {
		return ""
	}
	if s := str(v); s != "" {
		return s
	}
	if isContainer(v) {
		b, _ := encode(v)
		return string(b)
	}
	return fmt.Sprint(v)
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, item := range list {
		out = append(out, first(named(item), text(item)))
	}
	return out
}

func newTemplate(s Spec) (*Renderer, error) {
	if strings.TrimSpace(s.Template) == "" {
		return nil, errors.New("the template is empty")
	}
	t, err := template.New("template").Funcs(funcs).Option("missingkey=zero").Parse(s.Template)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %w", err)
	}
	contentType := first(s.ContentType, jsonType)
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("content_type %q cannot be read: %w", contentType, err)
	}
	isJSON := media == jsonType || strings.HasSuffix(media, "+json")
	return &Renderer{func(in Input) ([]byte, string, error) {
		payload, err := decode(in.Body)
		if err != nil {
			return nil, "", err
		}
		out := &bounded{}
		err = t.Execute(out, map[string]any{
			"event": payload, "event_id": in.EventID, "event_type": in.EventType, "delivery_id": in.DeliveryID,
		})
		if err != nil {
			return nil, "", fmt.Errorf("the template fails on this event: %w", err)
		}
		if isJSON && !json.Valid(out.Bytes()) {
			return nil, "", fmt.Errorf("the template does not give valid JSON for this event: %w", jsonError(out.Bytes()))
		}
		return out.Bytes(), contentType, nil
	}}, nil
}

func jsonError(data []byte) error {
	var v any
	err := json.Unmarshal(data, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := max(0, min(int(syntax.Offset), len(data))-20)
		return fmt.Errorf("%w near %q; write values with {{json …}}", err, data[at:min(len(data), at+40)])
	}
	return err
}

// bounded is a buffer that refuses to grow without end, which also ends the template.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRender {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
