package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

// maxAnswer is how much of a collector's answer is read.
const maxAnswer = 64 << 10

// client sends one signal to its collector.
type client struct {
	Target
	http *http.Client
}

func newClient(t Target) (*client, error) {
	if t.URL == "" {
		return nil, nil
	}
	authorities, err := send.TLS{CAFile: t.CAFile}.Authorities()
	if err != nil {
		return nil, err
	}
	return &client{t, &http.Client{
		Timeout: t.Timeout,
		// As every exporter of OpenTelemetry: HTTPS_PROXY counts. A redirect would take the headers with it.
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: authorities}, MaxIdleConns: 1, IdleConnTimeout: 2 * time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// shown is where it sends, as it may be logged.
func (c *client) shown() string {
	if c == nil {
		return "not exported"
	}
	return c.Shown()
}

// refusal is an answer other than 2xx.
type refusal struct {
	status int
	after  time.Duration // Retry-After, where it is given
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the collector answers HTTP %d %s", r.status, http.StatusText(r.status))
}

// again reports whether the specification has a failed request sent again.
func again(err error) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return true // no answer
	}
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// deliver sends a request, again and again for as long as that may help and the end has not
// come. It returns how much of it was refused.
func (c *client) deliver(ctx context.Context, ending <-chan struct{}, m, answer proto.Message) (int64, error) {
	deadline := time.Now().Add(patience)
	for wait := time.Second; ; wait *= 2 {
		rejected, err := c.once(ctx, m, answer)
		if err == nil || !again(err) {
			return rejected, err
		}
		pause := wait
		var r *refusal
		if errors.As(err, &r) && r.after > pause {
			pause = r.after
		}
		if time.Now().Add(pause).After(deadline) {
			return 0, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ending: // one last try
			timer.Stop()
			return c.once(ctx, m, answer)
		case <-ctx.Done():
			timer.Stop()
			return 0, err
		}
	}
}

// once sends a request, and returns how much of it was refused.
func (c *client) once(ctx context.Context, m, answer proto.Message) (int64, error) {
	body, err := encode(m, c.Gzip)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the endpoint is no URL")
	}
	req.Header.Set("User-Agent", "intellidocs-agent OTLP")
	for name, v := range c.Headers {
		req.Header.Set(name, v.Reveal())
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it would show the whole URL
			err = u.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 != 2 {
		r := &refusal{status: resp.StatusCode}
		if n, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))); err == nil && n > 0 {
			r.after = time.Duration(min(n, 3600)) * time.Second
		}
		return 0, r
	}
	if err != nil || proto.Unmarshal(text, answer) != nil {
		return 0, nil // it has taken it all the same
	}
	return refused(answer), nil
}
