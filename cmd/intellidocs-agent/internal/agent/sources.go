package agent

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/parser"
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
	done   chan struct{}
	err    error // why it ended; read after done
}

// sources are the sources being read; a reload adds and removes some while the others
// continue undisturbed.
type sources struct {
	queue  cursors
	ingest *ingest.Ingest
	budget *tailer.Budget
	log    *slog.Logger

	mu      sync.Mutex
	wanted  []config.Source
	ctx     context.Context // of run; nil before it and after its end
	reading map[string]*source
	refused map[string]string // why a source could not be opened, by path
}

func newSources(q cursors, in *ingest.Ingest, log *slog.Logger) *sources {
	return &sources{queue: q, ingest: in, budget: tailer.NewBudget(tailer.DefaultBudget), log: log, reading: map[string]*source{}, refused: map[string]string{}}
}

// apply makes the sources those of the configuration.
func (s *sources) apply(want []config.Source) {
	s.mu.Lock()
	s.wanted = slices.Clone(want)
	ctx := s.ctx
	s.mu.Unlock()
	for _, cfg := range want {
		s.ingest.Expect(cfg.Path) // whoever scrapes may come before a source is opened, or can be
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
		case <-tick.C:
			s.reconcile(ctx)
			s.flush(ctx)
		}
	}
	s.mu.Lock()
	s.ctx = nil
	old := slices.Collect(maps.Values(s.reading))
	s.mu.Unlock()
	for _, src := range old {
		<-src.done
	}
	// The last cursor is worth a moment after the end: without it skipped records would be read again.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	s.flush(closing)
	return nil
}

// reconcile stops what is no longer wanted, waits for its last commit, and starts what is new.
func (s *sources) reconcile(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, src := range s.reading {
		if !slices.ContainsFunc(s.wanted, src.cfg.Same) || src.ended() {
			src.cancel()
			<-src.done
			delete(s.reading, key)
		}
	}
	for _, cfg := range s.wanted {
		if s.reading[cfg.Path] != nil || ctx.Err() != nil {
			continue
		}
		src, err := s.open(ctx, cfg)
		if err != nil {
			if s.refused[cfg.Path] != err.Error() {
				s.log.Error("source cannot be read; trying again every few seconds", "source", cfg.Path, "error", err)
			}
			s.refused[cfg.Path] = err.Error()
			continue
		}
		delete(s.refused, cfg.Path)
		s.reading[cfg.Path] = src
	}
}

func (src *source) ended() bool {
	select {
	case <-src.done:
		return true
	default:
		return false
	}
}

func (s *sources) open(ctx context.Context, cfg config.Source) (*source, error) {
	cursor, _, err := s.queue.Cursor(cfg.Path)
	if err != nil {
		return nil, err
	}
	src := &source{cfg: cfg, done: make(chan struct{})}
	if cfg.Type == "spool" {
		src.ingest = s.ingest.Source(cfg.Path, ingest.Objects, []byte(cfg.Key.Reveal()))
		after := tailer.Delete
		if cfg.After == "archive" {
			after = tailer.Archive
		}
		src.follow, err = tailer.NewSpool(tailer.SpoolOptions{
			Source: cfg.Path, Path: cfg.Path, After: after, Poll: cfg.Poll, MaxRecord: int(cfg.MaxLineBytes),
			Cursor: cursor, Handler: src.ingest.Handle, Budget: s.budget, Logger: s.log,
		})
	} else {
		src.ingest = s.ingest.Source(cfg.Path, ingest.Lines, []byte(cfg.Key.Reveal()))
		start := tailer.FromBeginning
		if cfg.Start == "end" {
			start = tailer.FromEnd
		}
		src.follow, err = tailer.NewLog(tailer.LogOptions{
			Source: cfg.Path, Path: cfg.Path, Start: start, Poll: cfg.Poll, MaxLine: int(cfg.MaxLineBytes),
			Cursor: cursor, Handler: src.ingest.Handle, Partial: parser.Fragment, Budget: s.budget, Logger: s.log,
		})
	}
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(ctx)
	src.cancel = cancel
	go func() {
		defer close(src.done)
		if src.err = src.follow.Run(run); src.err != nil && run.Err() == nil {
			s.log.Error("source ended; trying again", "source", cfg.Path, "error", src.err)
		}
	}()
	return src, nil
}

// flush commits the cursors that were put off.
func (s *sources) flush(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.reading {
		if err := src.ingest.Flush(ctx); err != nil && ctx.Err() == nil {
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
		st := admin.SourceStatus{Name: cfg.Path, Type: cfg.Type, Reason: cmp.Or(s.refused[cfg.Path], "not open yet")}
		if src := s.reading[cfg.Path]; src != nil {
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
