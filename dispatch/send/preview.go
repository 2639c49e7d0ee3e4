package send

import (
	"context"
	"time"
)

// Preview returns the request of an attempt as Exchange would send it at a moment, with
// secrets masked, and sends nothing.
func (e *Endpoint) Preview(m Message, at time.Time) (string, error) {
	body, contentType, err := e.render(m)
	if err != nil {
		return "", err
	}
	return e.transcribe(e.request(context.Background(), m, body, contentType, at), body), nil
}
