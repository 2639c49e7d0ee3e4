package queue

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue/mapped"
)

const (
	// maxResident is how much of the database's mapped files may stay in memory.
	maxResident = 6 << 20
	// adviseEvery is how often advise does something, while the database is used.
	adviseEvery = 500 * time.Millisecond
)

// pager keeps the pages of the database's mapped files from taking the memory that others need.
type pager struct {
	dir     string
	small   bool  // Options.SmallMemory
	rest    int64 // what the other mapped files take: the program itself
	advised time.Time
}

// pageOut returns them to the system once they are too much of it, since with time all of the data
// would count as this process's. It reports whether there was anything to return.
func (p *pager) pageOut() bool {
	now := resident()
	p.rest = min(p.rest, now)
	if now < p.rest+maxResident {
		return false
	}
	mapped.Advise(p.contains, mapped.PageOut)
	// Where the kernel cannot, this is all of it, and it is not tried over and over.
	p.rest = resident()
	return true
}

// advise has nothing read ahead of the logs, of values and of memtables, which are read by the
// value and written at their end, and has those of their pages that are in memory go first: each
// is wanted for a moment. Where there is room they are better read ahead, since a backlog, and
// what is rewritten to reclaim space, come in their order. Tables, which a compaction reads from
// one end to the other, are left alone. It is for files that are new, too.
func (p *pager) advise() {
	if !p.small || time.Since(p.advised) < adviseEvery {
		return
	}
	p.advised = time.Now()
	mapped.Advise(func(path string) bool {
		ext := filepath.Ext(path)
		return (ext == ".vlog" || ext == ".mem") && p.contains(path)
	}, mapped.Random, mapped.Cold)
}

func (p *pager) contains(path string) bool { return strings.HasPrefix(path, p.dir+"/") }

// resident is how much memory the process's file mappings take, 0 where that cannot be told.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
