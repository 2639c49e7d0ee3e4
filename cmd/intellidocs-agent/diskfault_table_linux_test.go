//go:build amd64 || arm64

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/fault"
)

// faultPlace is a kind of system call on a kind of file.
type faultPlace struct {
	name   string
	calls  string
	path   string         // a regular expression
	signal syscall.Signal // that the agent gets first, where the place is met at an end or a start
	source string         // of diskFault
}

const spoolSource = "type = \"spool\"\nafter = \"archive\""

// faultPlaces are those of a commit, a flush, a compaction, a value log's turn, upkeep, a
// close, an open, and of what is read.
var faultPlaces = []faultPlace{
	{name: "commit: sync of the memtable's log", calls: "msync", path: `\.mem$`},
	{name: "commit: sync of the value log", calls: "msync", path: `\.vlog$`},
	{name: "memtable's turn: open", calls: "openat", path: `\.mem$`},
	{name: "memtable's turn: length", calls: "ftruncate", path: `\.mem$`},
	{name: "memtable's turn: mapping", calls: "mmap", path: `\.mem$`},
	{name: "memtable's turn: unlink", calls: "unlinkat", path: `\.mem$`},
	{name: "value log's turn: open", calls: "openat", path: `\.vlog$`},
	{name: "value log's turn: length", calls: "ftruncate", path: `\.vlog$`},
	{name: "value log's turn: mapping", calls: "mmap", path: `\.vlog$`},
	{name: "upkeep: unlink of a value log", calls: "unlinkat", path: `\.vlog$`},
	{name: "table: open", calls: "openat", path: `\.sst$`},
	{name: "table: length", calls: "ftruncate", path: `\.sst$`},
	{name: "table: mapping", calls: "mmap", path: `\.sst$`},
	{name: "table: sync", calls: "msync", path: `\.sst$`},
	{name: "table: unlink", calls: "unlinkat", path: `\.sst$`},
	{name: "MANIFEST: append", calls: "write", path: `MANIFEST$`},
	{name: "MANIFEST: sync", calls: "fsync", path: `MANIFEST$`},
	{name: "directory: sync", calls: "fsync", path: `/queue$`},

	{name: "close: sync of a table", calls: "msync", path: `\.sst$`, signal: unix.SIGTERM},
	{name: "close: open of a table", calls: "openat", path: `\.sst$`, signal: unix.SIGTERM},
	{name: "close: MANIFEST", calls: "write,fsync", path: `MANIFEST$`, signal: unix.SIGTERM},
	{name: "close: length of a log", calls: "ftruncate", path: `\.(mem|vlog)$`, signal: unix.SIGTERM},

	{name: "open: identity", calls: "openat", path: `queue\.json$`, signal: unix.SIGKILL},
	{name: "open: mark", calls: "renameat,renameat2", path: `open\.tmp$`, signal: unix.SIGTERM},
	{name: "open: MANIFEST", calls: "openat", path: `MANIFEST$`, signal: unix.SIGKILL},
	{name: "open: reading the MANIFEST", calls: "read,pread64", path: `MANIFEST$`, signal: unix.SIGKILL},
	{name: "open: logs written again", calls: "pwrite64,fsync", path: `\.(mem|vlog)$`, signal: unix.SIGKILL},
	{name: "open: a memtable's log", calls: "openat", path: `\.mem$`, signal: unix.SIGKILL},
	{name: "open: mapping", calls: "mmap", path: `/queue/`, signal: unix.SIGKILL},
	{name: "open: a table", calls: "openat,pread64", path: `\.sst$`, signal: unix.SIGTERM},
	{name: "open: discard statistics", calls: "openat,ftruncate,mmap", path: `DISCARD$`, signal: unix.SIGKILL},
	{name: "open: key registry", calls: "openat", path: `KEYREGISTRY$`, signal: unix.SIGKILL},

	{name: "log: reading", calls: "read,pread64", path: `/paperless\.log`, source: `type = "log"`},
	{name: "log: open", calls: "openat", path: `/paperless\.log`, source: `type = "log"`},
	{name: "log: directory", calls: "getdents64", path: `/log$`, source: `type = "log"`},
	{name: "log: attributes", calls: "fstatat,fstat", path: `/paperless\.log`, source: `type = "log"`},
	{name: "spool: directory", calls: "getdents64", path: `/spool$`, source: spoolSource},
	{name: "spool: open", calls: "openat", path: `/spool/[0-9]*\.json$`, source: spoolSource},
	{name: "spool: reading", calls: "read,pread64", path: `/spool/[0-9]*\.json$`, source: spoolSource},
	{name: "spool: move to archive/", calls: "renameat2", path: `/spool/[0-9]*\.json$`, source: spoolSource},
	{name: "spool: archive/", calls: "mkdirat,openat", path: `/archive$`, source: spoolSource},
	{name: "spool: sync", calls: "fsync", path: `/(spool|archive|rejected)$`, source: spoolSource},
	{name: "spool: reasons in rejected/", calls: "openat,write", path: `/rejected/.*\.tmp$`, source: spoolSource},
	{name: "spool: move to rejected/", calls: "renameat2", path: `/spool/[0-9]*-bad\.json$`, source: spoolSource},
}

// faultErrors are what each call may answer.
var faultErrors = map[string][]unix.Errno{
	"openat":    {unix.EIO, unix.EMFILE, unix.ENOSPC, unix.EROFS, unix.ESTALE, unix.EDQUOT, unix.ENFILE},
	"mmap":      {unix.ENOMEM, unix.EIO, unix.ENOSPC},
	"unlinkat":  {unix.EIO, unix.EROFS, unix.ESTALE},
	"renameat":  {unix.EIO, unix.ENOSPC, unix.EROFS, unix.EDQUOT},
	"renameat2": {unix.EIO, unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.ESTALE},
	"read":      {unix.EIO, unix.ESTALE},
	"mkdirat":   {unix.EROFS, unix.EIO},
	"":          {unix.EIO, unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.ESTALE},
}

// injected are all combinations of a place, what it answers and for how long.
func injected() (all []*diskFault) {
	for _, p := range faultPlaces {
		calls := strings.Split(p.calls, ",")
		errnos := faultErrors[calls[0]]
		if errnos == nil {
			errnos = faultErrors[""]
		}
		add := func(what string, errno unix.Errno, short bool) {
			for _, lasts := range []bool{false, true} {
				all = append(all, &diskFault{
					what: what, place: p.name, lasts: lasts, signal: p.signal, source: p.source,
					rule: &fault.Rule{Calls: calls, Path: regexp.MustCompile(p.path), Errno: errno, Short: short},
				})
			}
		}
		for _, errno := range errnos {
			add(unix.ErrnoName(errno), errno, false)
		}
		if strings.HasPrefix(p.name, "commit: ") {
			all = append(all, &diskFault{what: "no answer", place: p.name, lasts: true, rule: &fault.Rule{Calls: calls, Path: regexp.MustCompile(p.path), Hangs: true}})
		}
		if slices.Contains(calls, "write") || slices.Contains(calls, "pwrite64") {
			add("short write", unix.ENOSPC, true)
		}
	}
	return all
}

// diskFaults are the cells: a few for every run of the tests, each place with some of its
// answers for a soak, or those whose name contains a text.
func diskFaults(soak bool, only string) []*diskFault {
	all := append(failingDisks(), injected()...)
	if only != "" {
		return slices.DeleteFunc(all, func(d *diskFault) bool { return only != "all" && !strings.Contains(d.String(), only) })
	}
	if !soak {
		few := []string{
			"EIO/commit: sync of the memtable's log/once", "EMFILE/memtable's turn: open/once", "ENOSPC/table: sync/once",
			"short write/MANIFEST: append/once", "EROFS/spool: move to archive//once", "ESTALE/log: reading/lasting",
			"power cut/ext4/once", "SIGBUS/of a mapped page/once",
		}
		return slices.DeleteFunc(all, func(d *diskFault) bool { return !slices.Contains(few, d.String()) })
	}
	// Of each place one that lasts and one that does not, each time with another answer.
	seen := map[string]int{}
	return slices.DeleteFunc(all, func(d *diskFault) bool {
		if d.rule == nil || d.rule.Hangs {
			return false
		}
		n := seen[d.place]
		seen[d.place]++
		return n != 0 && n != 3
	})
}

// logWriter writes events to the log, which is rotated all the time.
func (f *faulty) logWriter(n int) {
	if n > 0 && n%200 == 0 {
		if err := os.Rename(f.log, fmt.Sprintf("%s.%d", f.log, n)); err != nil {
			f.t.Error(err)
		}
	}
	f.append(bigEventLine(n))
}

// spoolWriter moves files into the spool, some of which cannot be read as events.
func (f *faulty) spoolWriter(n int) {
	moveIn(f.t, f.log, fmt.Sprintf("%07d.json", n), bigEventText(n))
	if n%5 == 0 {
		moveIn(f.t, f.log, fmt.Sprintf("%07d-bad.json", n), `{"event_type": `)
	}
}

// emptied waits until every file of the spool is in its place.
func (f *faulty) emptied() {
	f.t.Helper()
	files := func(pattern string) int {
		names, _ := filepath.Glob(filepath.Join(f.log, pattern)) // the pattern is a good one
		return len(names)
	}
	bad := (f.written + 4) / 5
	want := [...]int{0, f.written, bad, bad}
	var got [4]int
	for deadline := 600; deadline > 0; deadline-- {
		got = [...]int{files("*.json"), files("archive/*.json"), files("rejected/*.json"), files("rejected/*.reason")}
		if got == want {
			return
		}
		f.pause(pollEvery)
	}
	f.t.Errorf("in the spool, in archive/, in rejected/ and reasons: %d, must be %d", got, want)
}
