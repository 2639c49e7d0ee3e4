package tailer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bad rejects records with "bad" in them.
func bad(r *Record) string {
	if strings.Contains(string(r.Data), "bad") {
		return "no event_type"
	}
	return ""
}

func TestSpool_NoLinkLeadsItsFilesOutOfIt(t *testing.T) {
	for _, c := range []struct {
		name, target string
		after        After
		content      string
	}{
		{"archive", archiveDir, Archive, `{"n":1}`},
		{"rejected", rejectedDir, Delete, `{"bad":1}`},
	} {
		for _, to := range []string{"outside", "itself", "nowhere"} {
			t.Run(c.name+" to "+to, func(t *testing.T) {
				s, dir, elsewhere := &store{reject: bad}, t.TempDir(), t.TempDir()
				must(t, os.Symlink(map[string]string{"outside": elsewhere, "itself": ".", "nowhere": elsewhere + "/x"}[to], filepath.Join(dir, c.target)))
				spool(t, s, dir, func(o *SpoolOptions) { o.After = c.after })
				drop(t, dir, "a.json", c.content)
				eventually(t, "the word about it", func() bool { return strings.Contains(s.log.String(), "is a link; files are not moved") })
				wantNames(t, elsewhere)
				wantNames(t, dir, "a.json", c.target)
				must(t, os.Remove(filepath.Join(dir, c.target)))
				eventually(t, "its place", func() bool { return exists(filepath.Join(dir, c.target, "a.json")) })
				s.want(t, []string{c.content})
			})
		}
	}
}

// The producer swaps the directories for links as fast as it can.
func TestSpool_ALinkSwappedInMeanwhileIsNotFollowed(t *testing.T) {
	s, dir, elsewhere := &store{reject: bad}, t.TempDir(), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ctx.Err() == nil; i++ {
			for _, name := range []string{archiveDir, rejectedDir} {
				path := filepath.Join(dir, name)
				_ = os.Rename(path, fmt.Sprintf("%s/.%s%d", dir, name, i))
				_ = os.Symlink(elsewhere, path)
				_ = os.Remove(path)
			}
		}
	}()
	spool(t, s, dir, func(o *SpoolOptions) { o.After = Archive })
	for i := range 300 {
		drop(t, dir, fmt.Sprintf("%d.json", i), []string{`{"n":1}`, `{"bad":1}`}[i%2])
	}
	s.wait(t, 300)
	cancel()
	<-swapped
	eventually(t, "all are moved", func() bool { return len(names(t, dir)) == 0 })
	wantNames(t, elsewhere)
}

func TestSpool_WhatIsNotReadIsCountedAndNamed(t *testing.T) {
	s, dir, outside := &store{}, t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret.json")
	must(t, os.WriteFile(secret, []byte(`{"secret":1}`), 0o600))
	for name, kind := range map[string]string{
		"a.txt": "has a name that ends in", "A.JSON": "has a name that ends in", "a.json.gz": "has a name that ends in", "noext": "has a name that ends in",
		"link.json": "is a symbolic link", "fifo.json": "is a FIFO", "dir.json": "is a directory", "hard.json": "a hard link",
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := &store{}, t.TempDir()
			path := filepath.Join(dir, name)
			switch kind {
			case "is a symbolic link":
				must(t, os.Symlink(secret, path))
			case "a hard link":
				must(t, os.Link(secret, path))
			case "is a FIFO":
				must(t, syscall.Mkfifo(path, 0o644))
			case "is a directory":
				must(t, os.Mkdir(path, 0o755))
			default:
				must(t, os.WriteFile(path, []byte("{}"), 0o644))
			}
			r := spool(t, s, dir)
			eventually(t, "it is counted", func() bool {
				st := r.spool.Status()
				return st.Remaining == 1 && strings.Contains(st.RemainingWhy, name) && strings.Contains(st.RemainingWhy, kind) && st.Ready
			})
			eventually(t, "it is logged", func() bool { return strings.Contains(s.log.String(), name) })
			drop(t, dir, "z.json", `{"n":1}`)
			s.want(t, []string{`{"n":1}`})
			must(t, os.RemoveAll(path))
			eventually(t, "it is forgotten", func() bool { return r.spool.Status().Remaining == 0 })
		})
	}
	for _, name := range []string{"a.tmp", "b.json.part", ".c.json"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o644))
	}
	r := spool(t, s, dir)
	drop(t, dir, "z.json", `{"n":1}`)
	wantNames(t, dir, "a.tmp", "b.json.part", ".c.json")
	if st := r.spool.Status(); st.Remaining != 0 {
		t.Errorf("%d: %s", st.Remaining, st.RemainingWhy)
	}
}

// With link and unlink instead of rename, a file has two names for a moment.
func TestSpool_AFileThatLosesItsOtherNameIsRead(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	spool(t, s, dir)
	tmp := filepath.Join(dir, ".a.json")
	must(t, os.WriteFile(tmp, []byte(`{"n":1}`), 0o644))
	must(t, os.Link(tmp, filepath.Join(dir, "a.json")))
	must(t, os.Remove(tmp))
	s.want(t, []string{`{"n":1}`})
	wantNames(t, dir)
}

// Root reads for the directory's owner only what that one could read.
func TestSpool_AFileItsProducerCouldNotReadIsNotRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make another user's directory")
	}
	s, dir := &store{}, t.TempDir()
	must(t, os.Chown(dir, 65534, 65534))
	for name, mode := range map[string]os.FileMode{"private.json": 0o600, "public.json": 0o644} {
		must(t, os.WriteFile(filepath.Join(dir, "."+name), []byte(`{"is":"`+name+`"}`), mode))
		must(t, os.Rename(filepath.Join(dir, "."+name), filepath.Join(dir, name)))
	}
	r := spool(t, s, dir)
	s.want(t, []string{`{"is":"public.json"}`})
	wantNames(t, dir, "private.json")
	eventually(t, "why", func() bool { return strings.Contains(r.spool.Status().RemainingWhy, "could not read it") })
	must(t, os.Chown(filepath.Join(dir, "private.json"), 65534, 65534))
	s.want(t, []string{`{"is":"public.json"}`, `{"is":"private.json"}`})
}

func TestSpool_WhatIsAppendedInPlaceIsReadToo(t *testing.T) {
	for _, after := range []After{Delete, Archive} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			s, dir := &store{}, t.TempDir()
			spool(t, s, dir, func(o *SpoolOptions) { o.After = after })
			path := filepath.Join(dir, "a.ndjson")
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
			must(t, err)
			var want []string
			for i := range 10 {
				line := fmt.Sprintf(`{"n":%d}`, i)
				want = append(want, line)
				_, err := f.WriteString(line[:3])
				must(t, err)
				time.Sleep(3 * testSweep) // the file must have been read in this state
				_, err = f.WriteString(line[3:] + "\n")
				must(t, err)
				s.wait(t, i+1)
				if !exists(path) {
					t.Fatal("the file is gone while its writer has it open")
				}
			}
			must(t, f.Close())
			wantNames(t, dir)
			s.want(t, want)
		})
	}
}

// A writer that opens the file for each line makes another when the first has gone.
func TestSpool_WhatIsAppendedByNameIsReadToo(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	spool(t, s, dir)
	var want []string
	for i := range 300 {
		f, err := os.OpenFile(filepath.Join(dir, "a.ndjson"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		must(t, err)
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
		_, err = f.WriteString(want[i] + "\n")
		must(t, errors.Join(err, f.Close()))
	}
	s.wait(t, len(want))
	wantNames(t, dir)
	s.wantSet(t, want)
}

// The writer opens the file before it is removed and writes afterwards.
func TestSpool_WhatIsWrittenAfterTheRemovalIsReadToo(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	path := filepath.Join(dir, "a.ndjson")
	must(t, os.WriteFile(path, []byte("{\"n\":1}\n"), 0o644))
	sp, err := NewSpool(SpoolOptions{Path: dir, Sweep: testSweep, Handler: s.handle})
	must(t, err)
	root, err := openSpoolDir(dir)
	must(t, err)
	sp.root = root
	t.Cleanup(func() { must(t, root.close()) })
	ctx := t.Context()
	must(t, sp.read(ctx, "a.ndjson"))
	f := sp.batch.finished[0]
	info, err := f.f.Stat()
	must(t, err)
	_, err = sp.feed.offer(ctx, &Batch{Records: sp.batch.pack.records})
	must(t, err)
	sp.batch.finished = nil
	sp.batch.endTurn()
	must(t, root.delete(f.name, info)) // nobody had it open to write
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.f.Fd()), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	f.late = true
	if !f.mayBeWrittenTo() {
		t.Fatal("the writer is not seen")
	}
	sp.late.add(f)
	for _, text := range []string{"{\"n\":2}\n{\"n\"", ":3}\n{\"n\":4"} {
		_, err := w.WriteString(text)
		must(t, err)
		must(t, sp.readLate(ctx))
	}
	must(t, w.Close())
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", f.f.Fd()), old, old))
	must(t, sp.readLate(ctx))
	s.want(t, []string{`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4`})
	if len(sp.late) != 0 {
		t.Error("the file is held for ever")
	}
}

// A broken file whose move failed must not pass for one that was read, now or after a restart.
func TestSpool_ABrokenFileThatCannotBeMovedIsNeverRemoved(t *testing.T) {
	for _, after := range []After{Delete, Archive} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			s, dir := &store{reject: bad}, t.TempDir()
			content := "{\"good\":1}\n{\"bad\":1}\n{\"good\":2}\n"
			inTheWay := filepath.Join(dir, rejectedDir)
			must(t, os.WriteFile(inTheWay, nil, 0o644))
			drop(t, dir, "a.ndjson", content)
			change := func(o *SpoolOptions) { o.After = after }
			for range 3 {
				r := spool(t, s, dir, change)
				s.wait(t, 3)
				drop(t, dir, "z.json", "[]") // the directory is read again
				eventually(t, "z.json is read", func() bool { return !exists(filepath.Join(dir, "z.json")) })
				r.stop()
				if b, err := os.ReadFile(filepath.Join(dir, "a.ndjson")); err != nil || string(b) != content {
					t.Fatalf("%q %v", b, err)
				}
			}
			must(t, os.Remove(inTheWay))
			spool(t, s, dir, change)
			wantNames(t, dir)
			wantNames(t, inTheWay, "a.ndjson", "a.ndjson.reason")
			why, err := os.ReadFile(filepath.Join(inTheWay, "a.ndjson.reason"))
			must(t, err)
			if !strings.Contains(string(why), "rejected: 1") || !strings.Contains(string(why), "offset 11: no event_type") {
				t.Errorf("reason is %s", why)
			}
			if n := s.count(); n != 3 {
				t.Errorf("%d records", n)
			}
		})
	}
}

// The process dies when the records are kept and before it knows.
func TestSpool_ABrokenFileIsMovedAfterACrash(t *testing.T) {
	s, dir := &store{reject: bad}, t.TempDir()
	drop(t, dir, "a.json", `[{"good":1},{"bad":1},{"cut":`)
	ctx, cancel := context.WithCancel(context.Background())
	sp, err := NewSpool(SpoolOptions{Path: dir, Sweep: testSweep, Handler: func(ctx context.Context, b *Batch) ([]Rejection, error) {
		_, err := s.handle(ctx, b)
		cancel()
		return nil, errors.Join(err, ctx.Err())
	}})
	must(t, err)
	must(t, sp.Run(ctx))
	wantNames(t, dir, "a.json")
	spool(t, s, dir)
	wantNames(t, dir)
	wantNames(t, filepath.Join(dir, rejectedDir), "a.json", "a.json.reason")
	why, err := os.ReadFile(filepath.Join(dir, rejectedDir, "a.json.reason"))
	must(t, err)
	if !strings.Contains(string(why), "rejected: 2") || s.count() != 3 {
		t.Errorf("%d records, reason is %s", s.count(), why)
	}
}

// A producer that uses one name again and again may replace a file at any moment.
func TestSpool_AFileThatTookTheNameOfOneThatWasReadIsNotRemoved(t *testing.T) {
	for _, after := range []After{Delete, Archive} {
		s, dir := &store{}, t.TempDir()
		sp, err := NewSpool(SpoolOptions{Path: dir, After: after, Handler: s.handle})
		must(t, err)
		drop(t, dir, "a.json", `{"n":1}`)
		root, err := openSpoolDir(dir)
		must(t, err)
		sp.root = root
		must(t, sp.read(t.Context(), "a.json"))
		f := sp.batch.finished[0]
		drop(t, dir, "a.json", `{"n":2}`)
		done, err := sp.tryRemove(f)
		if done || err != nil {
			t.Errorf("%v %v", done, err)
		}
		f.close()
		must(t, root.close())
		if b, err := os.ReadFile(filepath.Join(dir, "a.json")); err != nil || string(b) != `{"n":2}` {
			t.Errorf("%q %v", b, err)
		}
	}
}

func TestSpool_AFileLeftBetweenTwoNamesIsReadAfterACrash(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, takenName+".json"), []byte(`{"n":1}`), 0o644))
	spool(t, s, dir)
	s.want(t, []string{`{"n":1}`})
	wantNames(t, dir)
}

func sparse(t *testing.T, dir, name string, size int64, parts map[int64]string) {
	t.Helper()
	path := filepath.Join(dir, "."+name)
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	for off, text := range parts {
		_, err := f.WriteAt([]byte(text), off)
		must(t, err)
	}
	must(t, os.Rename(path, filepath.Join(dir, name)))
}

func TestSpool_HolesOfManyGiBArePassedOver(t *testing.T) {
	const size = 64 << 30
	s, dir := &store{}, t.TempDir()
	s.reject = func(r *Record) string {
		if r.Damage == "" && slices.Contains(r.Data, 0) {
			return "not JSON"
		}
		return ""
	}
	sparse(t, dir, "1.ndjson", size, map[int64]string{0: "{\"n\":1}\n{\"n\"", size / 2: "}\n{\"n\":2}\n", size - 9: "\n{\"n\":3}\n"})
	sparse(t, dir, "2.json", size, map[int64]string{0: `[{"n":4},{"n":"`, size - 11: `"},{"n":5}]`})
	sparse(t, dir, "3.json", size, nil)
	sparse(t, dir, "4.ndjson", size, nil)
	if !holes(t, filepath.Join(dir, "3.json")) {
		t.Skip("this file system cannot tell where a file's holes are")
	}
	drop(t, dir, "5.json", `{"n":6}`)
	spool(t, s, dir)
	wantNames(t, dir)
	wantNames(t, filepath.Join(dir, rejectedDir), "1.ndjson", "1.ndjson.reason", "2.json", "2.json.reason", "3.json", "3.json.reason", "4.ndjson", "4.ndjson.reason")
	good := map[string]int64{}
	for i, l := range s.got() {
		if r := s.records[i]; r.Damage == "" && !strings.Contains(l, "\x00") {
			good[l] = r.Offset
		}
	}
	want := map[string]int64{`{"n":1}`: 0, `{"n":2}`: size/2 + 2, `{"n":3}`: size - 8, `{"n":4}`: 1, `{"n":5}`: size - 8, `{"n":6}`: 0}
	if fmt.Sprint(good) != fmt.Sprint(want) {
		t.Errorf("good records %v\nwant %v", good, want)
	}
}

func holes(t *testing.T, path string) bool {
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	_, err = unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO)
}

// A value without end is read at the disk's pace, and stopping does not wait for it.
func TestSpool_StoppingDoesNotWaitForAHugeValue(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	path := filepath.Join(dir, ".a.ndjson")
	f, err := os.Create(path)
	must(t, err)
	chunk := make([]byte, 1<<20)
	for range 64 {
		_, err := f.Write(chunk)
		must(t, err)
	}
	must(t, f.Close())
	must(t, os.Rename(path, filepath.Join(dir, "a.ndjson")))
	sp, err := NewSpool(SpoolOptions{Path: dir, Handler: s.handle})
	must(t, err)
	root, err := openSpoolDir(dir)
	must(t, err)
	defer root.close()
	sp.root = root
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := sp.read(ctx, "a.ndjson"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	sp.batch.close()
}

func TestSpool_ADirectoryThatCannotBeListedIsSaidToBeSo(t *testing.T) {
	if !asNobody(t) { // root may list every directory
		return
	}
	s, dir := &store{}, t.TempDir()
	must(t, os.Chmod(dir, 0o311))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	r := spool(t, s, dir)
	eventually(t, "it says so", func() bool { return strings.Contains(r.spool.Status().Reason, "cannot be listed") })
}

func TestSpool_ReasonsAreCleanText(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	name := "a\nrejected: 0\x1b[31m\u009b\u202e.json"
	s.reject = func(*Record) string { return "key \x1b]0;x\a\u202e\nis odd" }
	drop(t, dir, name, `{"bad":1}`)
	spool(t, s, dir)
	wantNames(t, filepath.Join(dir, rejectedDir), name, name+".reason")
	why, err := os.ReadFile(filepath.Join(dir, rejectedDir, name+".reason"))
	must(t, err)
	if strings.ContainsAny(string(why), "\x1b\a\u009b\u202e") || strings.Count(string(why), "\n") != 4 {
		t.Errorf("%q", why)
	}
}
