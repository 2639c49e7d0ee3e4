package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/parser"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// follower is a log or a spool being read.
type follower interface {
	Run(ctx context.Context) error
	Status() tailer.Status
}

// source is a follower at work, with what came of its records.
type source struct {
	cfg    config.Source
	follow follower
	ingest *ingest.Source
	cancel context.CancelFunc
	moved  atomic.Bool // its stored position was
	done   chan struct{}
	err    error // why it ended; read after done
}

// sources are the sources being read; a reload adds and removes some while the others
// continue undisturbed.
type sources struct {
	queue  cursors
	ingest *ingest.Ingest // set before the first apply
	budget *tailer.Budget
	log    *slog.Logger
	wake   chan struct{} // receives when there is something to open or to close

	changing sync.Mutex // one reconcile or flush at a time; taken before mu

	mu      sync.Mutex // never held over I/O
	wanted  []config.Source
	held    map[string]bool // of the shared ones those that this agent reads, by name
	ctx     context.Context // of run; nil before it and after its end
	reading map[string]*source
	refused map[string]string // why a source could not be opened, by name
}

func newSources(q cursors, log *slog.Logger) *sources {
	return &sources{
		queue: q, budget: tailer.NewBudget(tailer.DefaultBudget), log: log, wake: make(chan struct{}, 1),
		held: map[string]bool{}, reading: map[string]*source{}, refused: map[string]string{},
	}
}

// apply makes the sources those of the configuration.
func (s *sources) apply(want []config.Source) {
	s.mu.Lock()
	s.wanted = slices.Clone(want)
	ctx := s.ctx
	s.mu.Unlock()
	for _, cfg := range want {
		s.ingest.Expect(cfg.Name) // whoever scrapes may come before a source is opened, or can be
	}
	if ctx != nil {
		s.reconcile(ctx)
	}
}

// run reads until ctx ends, and returns when every source has ended after its commit.
func (s *sources) run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	s.reconcile(ctx)
	// A source that could not be opened, or ended, is tried again.
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.wake:
			s.reconcile(ctx)
		case <-tick.C:
			s.reconcile(ctx)
			s.flush(ctx)
		}
	}
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	for _, src := range s.open() {
		<-src.done
	}
	// The last cursor is worth a moment after the end: without it skipped records would be read again.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.flush(closing)
	return nil
}

// poke has run look at what there is to open or to close.
func (s *sources) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// open are those being read, by name.
func (s *sources) open() map[string]*source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.reading)
}

// mine are the wanted ones that this agent reads.
func (s *sources) mine() []config.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.wanted), func(cfg config.Source) bool { return cfg.Elsewhere(s.held) })
}

// reconcile stops what is no longer wanted, waits for its last commit, and starts what is new.
func (s *sources) reconcile(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	mine, open := s.mine(), s.open()
	for name, src := range open {
		if !slices.ContainsFunc(mine, src.cfg.Same) || src.ended() {
			src.cancel()
			<-src.done
			delete(open, name)
			s.set(name, nil, "")
		}
	}
	for _, cfg := range mine {
		if open[cfg.Name] != nil || ctx.Err() != nil {
			continue
		}
		src, err := s.start(ctx, cfg)
		if err == nil {
			s.set(cfg.Name, src, "")
			continue
		}
		if s.why(cfg.Name) != err.Error() {
			s.log.Error("source cannot be read; trying again every few seconds", "source", cfg.Path, "error", err)
		}
		s.set(cfg.Name, nil, err.Error())
	}
}

// set takes in that a source is read, or why not.
func (s *sources) set(name string, src *source, refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reading, name)
	delete(s.refused, name)
	if src != nil {
		s.reading[name] = src
	}
	if refused != "" {
		s.refused[name] = refused
	}
}

// why is why a source could not be opened.
func (s *sources) why(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[name]
}

func (src *source) ended() bool {
	select {
	case <-src.done:
		return true
	default:
		return false
	}
}

func (s *sources) start(ctx context.Context, cfg config.Source) (*source, error) {
	cursor, gen, err := s.queue.Cursor(cfg.Name)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(ctx)
	src := &source{cfg: cfg, cancel: cancel, done: make(chan struct{})}
	if cfg.Type == "spool" {
		src.ingest = s.ingest.Source(cfg.Name, ingest.Objects, []byte(cfg.Key.Reveal())).From(gen)
		after := tailer.Delete
		if cfg.After == "archive" {
			after = tailer.Archive
		}
		src.follow, err = tailer.NewSpool(tailer.SpoolOptions{
			Source: cfg.Name, Path: cfg.Path, After: after, Poll: cfg.Poll, MaxRecord: int(cfg.MaxLineBytes),
			Cursor: cursor, Handler: src.handle, Budget: s.budget, Logger: s.log,
		})
	} else {
		src.ingest = s.ingest.Source(cfg.Name, ingest.Lines, []byte(cfg.Key.Reveal())).From(gen)
		start := tailer.FromBeginning
		if cfg.Start == "end" {
			start = tailer.FromEnd
		}
		src.follow, err = tailer.NewLog(tailer.LogOptions{
			Source: cfg.Name, Path: cfg.Path, Start: start, Poll: cfg.Poll, MaxLine: int(cfg.MaxLineBytes),
			Cursor: cursor, Handler: src.handle, Partial: parser.Fragment, Budget: s.budget, Logger: s.log,
		})
	}
	if err != nil {
		cancel()
		return nil, err
	}
	go func() {
		src.err = src.follow.Run(run)
		close(src.done)
		switch {
		case src.moved.Load():
			s.log.Warn("the stored position of a source is not where it was left, as after a failover of the database or where another agent reads it: reading on from the stored one", "source", cfg.Path)
			s.poke()
		case src.err != nil && run.Err() == nil:
			s.log.Error("source ended; trying again", "source", cfg.Path, "error", src.err)
		}
	}()
	return src, nil
}

// handle commits a batch. Where the stored position is not the one that it continues from, the
// source ends, to be opened again.
func (src *source) handle(ctx context.Context, b *tailer.Batch) ([]tailer.Rejection, error) {
	rejections, err := src.ingest.Handle(ctx, b)
	if errors.Is(err, queue.ErrMoved) {
		src.moved.Store(true)
		src.cancel()
	}
	return rejections, err
}

// moved has a source begin again at its stored position, which is not where it was left.
func (s *sources) moved(name string) {
	if src := s.open()[name]; src != nil {
		src.moved.Store(true)
		src.cancel()
	}
}

// flush commits the cursors that were put off.
func (s *sources) flush(ctx context.Context) {
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, src := range s.open() {
		if err := src.ingest.Flush(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, queue.ErrUnavailable) {
			s.log.Warn("cannot store a source's position; the records it skipped may be read again after a restart", "error", err)
		}
	}
}

// status is every wanted source's, in the order of the configuration.
func (s *sources) status() []admin.SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []admin.SourceStatus{}
	for _, cfg := range s.wanted {
		st := admin.SourceStatus{Name: cfg.Name, Type: cfg.Type, Reason: cmp.Or(s.refused[cfg.Name], "not open yet")}
		if cfg.Elsewhere(s.held) {
			st.Ready, st.Reason, st.Elsewhere = true, "", true
		} else if src := s.reading[cfg.Name]; src != nil {
			now, totals := src.follow.Status(), src.ingest.Totals()
			st.Ready, st.Reason, st.LagBytes, st.Files, st.Gaps = now.Ready, now.Reason, now.LagBytes, now.Files, now.Gaps
			st.Warning, st.Remaining, st.RemainingWhy = now.Warning, now.Remaining, now.RemainingWhy
			if !now.LastRecord.IsZero() {
				st.LastRecord = &now.LastRecord
			}
			st.Records, st.Queued, st.Skipped, st.Rejected = totals.Records, totals.Queued, totals.Skipped, totals.Rejected
		}
		out = append(out, st)
	}
	return out
}
