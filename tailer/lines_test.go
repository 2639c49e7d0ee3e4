package tailer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestLines_CRLFAndBOMAndEmptyLines(t *testing.T) {
	s, path := &store{}, logPath(t)
	must(t, os.WriteFile(path, []byte("\xef\xbb\xbffirst\r\n\n\r\nlast\n"), 0o644))
	follow(t, s, path)
	s.want(t, []string{"first", "", "", "last"})
}

// Lines end at, before and behind the borders of the blocks that are looked at.
func TestLines_TerminatorsAroundBlockBorders(t *testing.T) {
	s, path := &store{}, logPath(t)
	var want []string
	for d := -3; d <= 3; d++ {
		want = append(want, strings.Repeat("a", blockLen+d), strings.Repeat("b", 3*blockLen-1+d), "c")
	}
	must(t, os.WriteFile(path, []byte(strings.Join(want, "\n")+"\n"), 0o644))
	r := follow(t, s, path)
	s.want(t, want)
	r.stop()
	off := int64(0)
	for i, rec := range s.records {
		if rec.Offset != off || rec.Size != int64(len(want[i]))+1 {
			t.Fatalf("record %d at %d size %d, want %d and %d", i, rec.Offset, rec.Size, off, len(want[i])+1)
		}
		off += rec.Size
	}
}

func TestLines_LongOnesAreCutAndNeverHideTheNext(t *testing.T) {
	s, path := &store{}, logPath(t)
	const limit = 100_000
	var content strings.Builder
	var want []string
	for i, n := range []int{10, limit, limit + 1, 500_000, 5, limit - 1, 3 << 20, 7} {
		line := strings.Repeat(string(rune('a'+i)), n)
		content.WriteString(line + "\n")
		if n > limit {
			line = line[:HeadBytes]
		}
		want = append(want, line)
	}
	must(t, os.WriteFile(path, []byte(content.String()), 0o644))
	follow(t, s, path, func(o *LogOptions) { o.MaxLine = limit })
	s.want(t, want)
	for i, r := range s.records {
		if long := i == 2 || i == 3 || i == 6; r.TooLong != long {
			t.Errorf("record %d: TooLong is %v", i, r.TooLong)
		}
	}
	if n := s.records[6].Size; n != 3<<20+1 {
		t.Errorf("size %d", n)
	}
}

func TestLines_APartialLineWaitsAlsoAcrossARestart(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.raw("one\ntw")
	r := follow(t, s, path)
	s.wait(t, 1)
	r.quiet()
	r.stop()
	w.raw("o")
	r = follow(t, s, path)
	r.quiet()
	if n := s.count(); n != 1 {
		t.Fatalf("%d lines", n)
	}
	w.raw("\n")
	s.want(t, []string{"one", "two"})
}

func TestLines_TheLastLineOfADeadWriterIsTaken(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.raw("one\ncut off")
	s.wait(t, 1)
	w.rename(path + ".1")
	w.reopen()
	w.raw("two\n")
	s.wait(t, 3)
	s.wantSet(t, []string{"one", "cut off", "two"})
	r.settled(s)
	r.stop()
	w.raw("three\n")
	follow(t, s, path)
	s.wait(t, 4)
	s.wantSet(t, []string{"one", "cut off", "two", "three"})
}

func TestRestart_OffsetsOfShortAndLongLines(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	var want []string
	for _, n := range []int{1, 50, 255, 256, 257, 1023, 1024, 1025, 70_000, 200_000} {
		for _, c := range "xy" {
			line := strings.Repeat(string(c), n)
			w.raw(line + "\n")
			want = append(want, line)
			r := follow(t, s, path)
			s.want(t, want)
			r.stop()
		}
	}
}

// A 200 MB line costs no more than a short one, neither while it grows nor at its end.
func TestLines_AnEndlessLineIsNotHeld(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.raw("before\n")
	r := follow(t, s, path)
	s.wait(t, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	chunk := strings.Repeat("x", 1<<20)
	for range 200 {
		w.raw(chunk)
	}
	w.raw("\nbehind\n")
	s.wait(t, 3)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
		t.Errorf("%d MiB allocated", grown>>20)
	}
	rec := s.records[1]
	if !rec.TooLong || rec.Size != 200<<20+1 || s.got()[2] != "behind" {
		t.Errorf("record %+v", rec)
	}
	r.settled(s)
}

// pieces tells Kubernetes' form: "stdout P text" is a piece, "stdout F text" the last one.
func pieces(line []byte) (string, bool) {
	f := strings.SplitN(string(line), " ", 3)
	if len(f) < 3 || f[1] != "P" && f[1] != "F" {
		return "", false
	}
	return f[0], f[1] == "P"
}

func withPieces(o *LogOptions) { o.Partial = pieces }

func TestPieces_AreOneRecordAlsoAcrossARotationAndARestart(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path, withPieces)
	w.raw("o F whole\no P a1\ne P b1\nplain\no P a2\n")
	s.wait(t, 2)
	r.quiet()
	w.raw("e F b2\n")
	s.wait(t, 3)
	r.stop()
	w.rename(path + ".1")
	w.reopen()
	w.raw("o F a3\nnext\n")
	r = follow(t, s, path, withPieces)
	s.wait(t, 5)
	r.settled(s)
	got := s.got()
	if !slices.Contains(got, "o P a1\no P a2\no F a3") {
		t.Errorf("got %q", got)
	}
	// What lies between the pieces is read again: the position never passes one.
	places := map[string]string{}
	for i, rec := range s.records {
		key := fmt.Sprint(rec.Stream, rec.Offset)
		if was, ok := places[key]; ok && was != got[i] {
			t.Errorf("%q and %q at one place", was, got[i])
		}
		places[key] = got[i]
	}
	for _, l := range []string{"o F whole", "plain", "e P b1\ne F b2", "next"} {
		if !slices.Contains(got, l) {
			t.Errorf("%q is missing of %q", l, got)
		}
	}
}

func TestPieces_OverTheLimitAreOneLongRecord(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	follow(t, s, path, withPieces, func(o *LogOptions) { o.MaxLine = 100_000 })
	piece := "o P " + strings.Repeat("x", 16_000) + "\n"
	for range 100 {
		w.raw(piece)
	}
	w.raw("o F end\nnext\n")
	s.wait(t, 2)
	if r := s.records[0]; !r.TooLong || r.Size != int64(100*len(piece)+8) || len(s.got()[0]) > HeadBytes {
		t.Errorf("record %+v", r)
	}
}

func TestPieces_WithoutAnEndAreGivenUpWithTheirFile(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path, withPieces)
	w.raw("o P begun\n")
	eventually(t, "read", func() bool { return r.log.Status().LagBytes == 0 })
	w.rename(path + ".1")
	w.reopen()
	s.want(t, []string{"o P begun"})
}

// Or the position would never move on, and a restart read all of it again.
func TestPieces_WithoutAnEndAreGivenUpOnceTheyAreFarBehind(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	small := func(o *LogOptions) { o.MaxLine = 1000 }
	r := follow(t, s, path, withPieces, small)
	w.raw("o P begun\n")
	for range 200 {
		w.raw("e F " + strings.Repeat("x", 100) + "\n")
	}
	s.wait(t, 201)
	r.stop()
	follow(t, s, path, withPieces, small)
	w.raw("e F next\n")
	s.wait(t, 202)
	if got := s.got(); got[201] != "e F next" || !slices.Contains(got, "o P begun") {
		t.Errorf("got %q", got[195:])
	}
}

func TestHandler_AnErrorOffersTheSameBatchAgain(t *testing.T) {
	s, path := &store{}, logPath(t)
	n := 0
	s.fail = func(*Batch) error {
		if n++; n == 2 {
			return errors.New("disk full")
		}
		return nil
	}
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	eventually(t, "status says so", func() bool { return strings.Contains(r.log.Status().Reason, "disk full") })
	s.want(t, w.written)
	eventually(t, "ready again", func() bool { return r.log.Status().Ready })
	if n := strings.Count(s.log.String(), "disk full"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A line without end that a container's runtime cuts into pieces is not copied with each.
func TestPieces_WithoutEndCostWhatOneLineMayBe(t *testing.T) {
	j := &joiner{partial: func(line []byte) (string, bool) { return "o", line[2] == 'P' }, maxLine: 1 << 20}
	s := &stream{id: "s"}
	line := []byte("o P " + strings.Repeat("x", 4000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	at := int64(0)
	for range 64 << 20 / len(line) {
		if r, whole := j.add(line, "p", place{s, at}, int64(len(line))+1); whole {
			t.Fatalf("%d bytes were handed over", len(r.Data))
		}
		at += int64(len(line)) + 1
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d MiB were allocated for a line of 64 of which one is kept", used>>20)
	}
	r, whole := j.add([]byte("o F end"), "p", place{s, at}, 8)
	if !whole || !r.TooLong || len(r.Data) != HeadBytes || r.Size != at+8 {
		t.Errorf("whole %v, too long %v, %d bytes of %d", whole, r.TooLong, len(r.Data), r.Size)
	}
}

func TestReadAll_GivesWhatFollowingGives(t *testing.T) {
	var content strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&content, "line %d %s\r\n", i, strings.Repeat("x", i%100))
	}
	content.WriteString(strings.Repeat("y", 300_000) + "\no P a\nplain\no F b\nno end")
	path := logPath(t)
	must(t, os.WriteFile(path, []byte(content.String()), 0o644))
	followed, read := &store{}, &store{}
	follow(t, followed, path, withPieces, func(o *LogOptions) { o.MaxLine = 100_000 })
	for range 2 {
		*read = store{}
		must(t, ReadAll(context.Background(), strings.NewReader(content.String()), ReadOptions{
			Path: path, MaxLine: 100_000, Partial: pieces, Handler: read.handle,
		}))
	}
	got := read.got()
	if got[len(got)-1] != "no end" {
		t.Errorf("last is %q", got[len(got)-1])
	}
	followed.want(t, got[:len(got)-1])
	for i, r := range followed.records {
		q := read.records[i]
		if r.Offset != q.Offset || r.Size != q.Size || r.TooLong != q.TooLong {
			t.Fatalf("record %d: %+v, read at once %+v", i, r, q)
		}
	}
}

// At every moment the follower may die, and files may be rotated in any way.
func TestRestart_AtRandomLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			s, path := &store{}, filepath.Join(t.TempDir(), "app.log")
			w := newWriter(t, path)
			w.lines(1)
			r := follow(t, s, path)
			for range 60 {
				w.lines(rnd.IntN(300))
				switch rnd.IntN(8) {
				case 0, 1:
					w.shift(200)
					w.rename(path + ".1")
					w.lines(rnd.IntN(3))
					w.reopen()
				case 2:
					w.shift(200)
					w.copytruncate(path + ".1")
				case 3, 4:
					r.stop()
				case 5:
					r.stop()
					r = follow(t, s, path)
				}
			}
			r.stop()
			r = follow(t, s, path)
			w.lines(1)
			s.wait(t, len(w.written))
			r.settled(s)
			s.wantSet(t, w.written)
			if n := s.gapCount(); n != 0 {
				t.Errorf("%d gaps %+v", n, s.gaps)
			}
		})
	}
}
