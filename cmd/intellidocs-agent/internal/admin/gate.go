package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// The bounds of what is under way at once, over all listeners, since each call has its answer,
// or what it reads, in memory. What has no place yet waits; health and the page never do.
const (
	atOnce     = 4 // reads, pages of lists, and changes: none holds up the others
	whole      = 1 // reads of one event whole, with its payload of up to 7 MiB
	listed     = 1 // pages being put together, of those
	bodies     = 8 // bodies on their way in
	backfills  = 2 // old logs being read
	scrapes    = 4 // answers of /metrics
	maxStreams = 100
	maxWaiting = 100 // calls that wait for a place
)

// maxRequest bounds a request's body, but for a backfill's, which is streamed.
const maxRequest = 1 << 20

const (
	// patience is how long a request and its answer may take on the wire.
	patience = 30 * time.Second
	// bodyPatience is how long a call's body may take, and an answer of /metrics.
	bodyPatience = 5 * time.Second
	// restFor is how many times as long as a page took its place rests where others wait, and longestRest
	// how long at most. What is read of the queue and written again for a page is many times its size, and
	// each row may be a page of the disk's: many who ask for one after another would have the processor,
	// the garbage collector and the disk work for nobody else.
	restFor     = 3
	longestRest = time.Second
)

// gate has the places of the calls under way.
type gate struct {
	reads, whole, lists, pages, changes, bodies, backfills, scrapes, streams, waiting chan struct{}

	forPage atomic.Int64 // lists that wait for a page
}

func newGate() *gate {
	places := func(n int) chan struct{} { return make(chan struct{}, n) }
	return &gate{
		reads: places(atOnce), whole: places(whole), lists: places(atOnce), pages: places(listed), changes: places(atOnce), bodies: places(bodies),
		backfills: places(backfills), scrapes: places(scrapes), streams: places(maxStreams), waiting: places(maxWaiting),
	}
}

var errBusy = errors.New("the agent is busy with other API calls; try again")

// take waits for a place and returns how to give it back.
func (g *gate) take(ctx context.Context, places chan struct{}) (release func(), err error) {
	release = func() { <-places }
	select {
	case places <- struct{}{}:
		return release, nil
	default:
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return nil, errBusy
	}
	return release, inTime(ctx, places)
}

// inTime waits for a place, and for no longer than that makes sense to whoever has asked.
func inTime(ctx context.Context, places chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

// admit lets calls wait until there is a place for them.
func (g *gate) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		places := g.placesOf(r)
		if places == nil {
			next.ServeHTTP(w, r)
			return
		}
		// A body is read before the call takes a place: one that trickles in holds up nobody.
		if places == g.changes && r.ContentLength != 0 {
			if err := g.readBody(w, r); err != nil {
				g.refuse(w, err)
				return
			}
		}
		release, err := g.take(r.Context(), places)
		if err != nil {
			g.refuse(w, err)
			return
		}
		defer release()
		next.ServeHTTP(w, r)
	})
}

// paged has one page put together at a time, and then, where others wait, none for three times as long
// as that took. A list that waits has its place among the lists already.
func (g *gate) paged(f handler) handler {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		g.forPage.Add(1)
		err := inTime(r.Context(), g.pages)
		g.forPage.Add(-1)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		defer func() {
			rest := time.Duration(0)
			if g.forPage.Load() > 0 {
				rest = min(restFor*time.Since(begun), longestRest)
			}
			time.AfterFunc(rest, func() { <-g.pages })
		}()
		return f(w, r)
	}
}

// placesOf returns the places that a request needs one of; nil: none.
func (g *gate) placesOf(r *http.Request) chan struct{} {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch path := r.URL.Path; {
	case path == "/metrics":
		return g.scrapes
	case !isAPI(r):
		return nil
	case path == "/api/v1/stream":
		return g.streams
	case path == "/api/v1/ingest" && !read:
		return g.backfills
	case read && oneWhole(path):
		return g.whole
	case read && isList(path):
		return g.lists
	case read:
		return g.reads
	}
	return g.changes
}

// isList reports whether a path is answered by the page.
func isList(path string) bool {
	return slices.Contains([]string{"/api/v1/deliveries", "/api/v1/events", "/api/v1/rejected"}, path)
}

func oneWhole(path string) bool {
	for _, list := range []string{"/api/v1/deliveries/", "/api/v1/events/"} {
		if len(path) > len(list) && path[:len(list)] == list {
			return true
		}
	}
	return false
}

// readBody reads the whole body of a call, which is small, and not slow.
func (g *gate) readBody(w http.ResponseWriter, r *http.Request) error {
	release, err := g.take(r.Context(), g.bodies)
	if err != nil {
		return err
	}
	defer release()
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyPatience))
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return err
		}
		return badRequest{errors.New("the request's body did not arrive completely within 5 s")}
	}
	_ = deadline.SetReadDeadline(time.Now().Add(patience))
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}

func (g *gate) refuse(w http.ResponseWriter, err error) {
	if !errors.Is(err, errBusy) {
		w.Header().Set("Connection", "close")
	}
	fail(w, err)
}

// lasting lifts the deadlines of a call that takes as long as it takes.
func lasting(w http.ResponseWriter) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Time{})
	_ = deadline.SetWriteDeadline(time.Time{})
}
