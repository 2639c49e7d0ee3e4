package term

import (
	"bytes"
	"encoding/json"
	"io"
)

// JSON prints v as one line of JSON, without Go's escaping of <, > and &.
func JSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(PrintableJSON(b.Bytes()))
	return err
}
