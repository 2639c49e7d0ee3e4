package tailer

import (
	"errors"
	"fmt"
	"os"

	"github.com/nxadm/tail"
)

// errChanged: the file is not what it was a moment ago. Nothing read can be trusted.
var errChanged = errors.New("file changed while it was read")

// aheadLimit is how much may follow an extent for tail to read past its end
// before it is stopped.
const aheadLimit = 64 << 10

// readLines calls take with every line of e, terminators off, and the offset it
// begins at. It reads the inode that f pins, whatever its names.
func readLines(f *os.File, e extent, take func(line string, offset int64)) error {
	stop := e.end
	if e.ahead > aheadLimit {
		// tail reads on until it is stopped, and the next line may be of any
		// length. So it is stopped while it waits to hand over the last line
		// of the extent, which is then read here.
		stop = e.last
	}
	at := e.start
	if at < stop {
		var err error
		if at, err = tailLines(f, e, stop, take); err != nil {
			return err
		}
	}
	for at < e.end {
		// Only after the stop above, or where tail could not open the file
		// again: /proc is missing, or permission was withdrawn since.
		n, err := preadLine(f, at, e, take)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// tailLines reads from e.start to stop and returns how far it came: e.start
// where the file cannot be opened through /proc, else stop.
func tailLines(f *os.File, e extent, stop int64, take func(string, int64)) (int64, error) {
	t, err := tail.TailFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), tail.Config{
		Location:  &tail.SeekInfo{Offset: e.start},
		MustExist: true,
		// Sizes tail's buffer. No line of the extent is longer, so none is split.
		MaxLineSize: max(e.longest, int(min(e.end-e.start, blockLen))),
		Logger:      tail.DiscardingLogger,
	})
	if err != nil {
		return e.start, nil
	}
	at := e.start
	for line := range t.Lines {
		end := line.SeekInfo.Offset
		if line.Err != nil || end != at+int64(len(line.Text))+1 {
			break // not a whole line: the file was cut
		}
		take(line.Text, at)
		if at = end; at >= stop {
			break
		}
	}
	t.Kill(nil)
	err = t.Wait()
	switch {
	case at == stop:
		return at, nil
	case err != nil:
		return at, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	return at, errChanged
}

// preadLine reads the one line at off by itself.
func preadLine(f *os.File, off int64, e extent, take func(string, int64)) (int64, error) {
	buf := make([]byte, min(int64(e.longest)+1, e.end-off))
	if n, err := f.ReadAt(buf, off); n < len(buf) {
		if err == nil || n > 0 {
			return 0, errChanged
		}
		return 0, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	for i, c := range buf {
		if c == '\n' {
			take(string(buf[:i]), off)
			return int64(i) + 1, nil
		}
	}
	return 0, errChanged
}
