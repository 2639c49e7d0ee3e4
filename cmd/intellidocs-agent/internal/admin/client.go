package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
)

// Client calls the API of a running agent, or of a Server in the same process.
type Client struct {
	http *http.Client
}

var (
	// ErrNotRunning: no agent answers on the state directory's socket.
	ErrNotRunning = errors.New("no agent is running on this state directory; start it: intellidocs-agent run")
	// ErrNotYours: the state directory is another user's.
	ErrNotYours = errors.New("the state directory is another user's: run this as the agent's user or as root")
	// ErrNotFound: the agent knows nothing of that name.
	ErrNotFound = errors.New("not found")
)

// Dial makes a client of the agent that runs on a state directory.
func Dial(ctx context.Context, stateDir string) (*Client, error) {
	path := filepath.Join(stateDir, SocketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w (%w)", ErrNotYours, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNotRunning, err)
	}
	_ = conn.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Local makes a client of a server in this process.
func Local(s *Server) *Client {
	h := s.Handler()
	return &Client{http: &http.Client{Transport: inProcess{h}}}
}

// inProcess hands requests to a handler, streaming the answer as a network would.
type inProcess struct{ http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	body, out := io.Pipe()
	w := &pipeWriter{header: http.Header{}, out: out, ready: make(chan int, 1)}
	go func() {
		p.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = out.Close()
	}()
	code := <-w.ready
	return &http.Response{
		Status: fmt.Sprintf("%d %s", code, http.StatusText(code)), StatusCode: code,
		Header: w.header, Body: body, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
	}, nil
}

type pipeWriter struct {
	header http.Header
	out    *io.PipeWriter
	once   sync.Once
	ready  chan int
}

func (w *pipeWriter) Header() http.Header  { return w.header }
func (w *pipeWriter) WriteHeader(code int) { w.once.Do(func() { w.ready <- code }) }
func (w *pipeWriter) Flush()               {}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.out.Write(p)
}

// get asks for a path below /api/v1/.
func get[T any](ctx context.Context, c *Client, path string, q url.Values) (answer T, err error) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return call[T](ctx, c, http.MethodGet, path, nil)
}

// post sends a request to a path below /api/v1/.
func post[T any](ctx context.Context, c *Client, path string, request any) (answer T, err error) {
	data, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	return call[T](ctx, c, http.MethodPost, path, bytes.NewReader(data))
}

func call[T any](ctx context.Context, c *Client, method, path string, body io.Reader) (answer T, err error) {
	resp, err := c.do(ctx, method, "/api/v1/"+path, body)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("the agent's answer cannot be read (is it of another version?): %w", err)
	}
	return answer, nil
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = errors.New("it does not answer in time")
		case ctx.Err() != nil:
			err = errors.New("interrupted before it answered")
		case errors.As(err, &u):
			err = u.Err // without the address, which is of no use to anybody
		}
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var p Problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&p); err != nil || p.Error == "" {
		return nil, fmt.Errorf("the agent answered %s", resp.Status)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, notFound(p.Error)
	}
	return nil, errors.New(p.Error)
}

// notFound is an ErrNotFound in the agent's words.
type notFound string

func (e notFound) Error() string        { return string(e) }
func (e notFound) Is(target error) bool { return target == ErrNotFound }
