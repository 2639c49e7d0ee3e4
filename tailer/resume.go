package tailer

import (
	"context"
	"math"
	"slices"
	"time"
)

// What was read of a file, and is no longer what it holds, is one of these:
//
//	copied and truncated   the whole of it is in another file; this one is new
//	cut, or its end lost   it begins the same, and continues differently
//	overwritten in place   it ends the same, behind what its writer has come to
//	replaced               nothing of it is left
//
// In the two in the middle reading resumes where it differs.

// verifyBudget is how much of a file is compared that only was touched, and verifyShare
// how much of the time may be spent on that.
const (
	verifyBudget = 64 << 20
	verifyShare  = 20
)

// unchanged reports whether f still holds all that was read of its stream.
func (h *holdings) unchanged(ctx context.Context, f *file) bool {
	if f.suspect || !h.continues(f) {
		return false
	}
	if f != h.live || f.s.off == 0 {
		return true
	}
	return h.restUnchanged(ctx, f) && h.verified(ctx, f)
}

// restUnchanged moves the end of what must be read of an overwritten file to where its
// writer has come by now. It is false where f can no longer be compared.
func (h *holdings) restUnchanged(ctx context.Context, f *file) bool {
	s := f.s
	if len(s.rest.list) == 0 {
		return true
	}
	same, rest, err := s.rest.compare(ctx, f.f, f.size, math.MaxInt64)
	if err != nil {
		f.stale = true
		return true
	}
	if same < s.rest.end() {
		s.rest, h.dirty = rest, true
	}
	if len(s.rest.list) == 0 || f.size == s.rest.end() {
		return true
	}
	f.stale = true // until what is before the rest was read
	return s.pos < s.rest.start || s.skipRest(f.f) == nil
}

// verified compares the whole of f with what was read if it changed without growing: its
// size, beginning and end are no proof that nothing between was overwritten.
func (h *holdings) verified(ctx context.Context, f *file) bool {
	s, now := f.s, time.Now()
	if !f.touched || s.pos < f.end() || s.off < s.pos {
		return true
	}
	if now.Before(f.verify) {
		f.stale = true
		return true
	}
	same, _, err := s.known.compare(ctx, f.f, f.size, verifyBudget)
	f.verify = now.Add(verifyShare * time.Since(now))
	f.touched = now.Sub(f.mod) < recent // then once more, for what its time does not show
	return err != nil || same == s.known.end()
}

// changedContent resumes the stream of f where f differs from it, or parts them. It does
// neither where that cannot be told now.
func (h *holdings) changedContent(ctx context.Context, f *file) error {
	s := f.s
	if f == h.live && !h.heldElsewhere(s, f) {
		same, rest, err := s.content().compare(ctx, f.f, f.size, math.MaxInt64)
		if err == nil && (same > 0 || len(rest.list) > 0) && h.undecided(f) == nil && s.resume(f.f, same, rest) == nil {
			s.size, h.dirty = f.end(), true
			return nil
		}
	}
	if err := h.undecided(f); err != nil {
		return err
	}
	f.detach()
	return nil
}

// heldElsewhere reports whether another file than f holds all that was read of s.
func (h *holdings) heldElsewhere(s *stream, f *file) bool {
	for _, g := range h.files {
		if g == f || g.size < s.pos || !g.known && !g.renamed() {
			continue
		}
		closed := g.f == nil
		if g.open() != nil {
			continue
		}
		held := s.matches(g.f, g.size)
		if closed {
			g.close()
		}
		if held {
			return true
		}
	}
	return false
}

// resumes attaches the live file to the stream that it holds a part of, if there is one
// that nothing else holds.
func (h *holdings) resumes(ctx context.Context, f *file) bool {
	var best *stream
	var bestSame int64
	var bestRest chunks
	for _, s := range h.cur.streams {
		g := s.holder(f)
		if s.off == 0 || s.done && s.path != f.path || g != nil && g.renamed() || h.heldElsewhere(s, f) {
			continue
		}
		if begin := (chunks{list: s.known.list[:min(1, len(s.known.list))]}); s.file != f.id {
			if same, _, err := begin.compare(ctx, f.f, f.size, math.MaxInt64); err != nil || same == 0 {
				continue
			}
		}
		same, rest, err := s.content().compare(ctx, f.f, f.size, math.MaxInt64)
		if err == nil && (same > bestSame || best == nil && (same > 0 || len(rest.list) > 0)) {
			best, bestSame, bestRest = s, same, rest
		}
	}
	if h.undecided(f) != nil {
		return false // match sees it too
	}
	if best != nil {
		h.fork(best)
	}
	if best == nil || best.resume(f.f, bestSame, bestRest) != nil {
		return false
	}
	f.attach(best)
	best.file, best.size, h.dirty = f.id, f.end(), true
	return true
}

// fork makes what holds s, and was replaced under its name, a stream of its own: its writer
// may not have noticed.
func (h *holdings) fork(s *stream) {
	if len(s.files) == 0 {
		return
	}
	old := *s
	old.id, old.files, old.known.list = newStreamID(), nil, slices.Clone(s.known.list)
	h.cur.streams = append(h.cur.streams, &old)
	for _, g := range slices.Clone(s.files) {
		g.release()
		g.attach(&old)
	}
}
