package tailer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Members that decompress to nothing may follow one another without end.
func TestArchive_ThatIsAllEmptyMembersIsLeftWhenStopped(t *testing.T) {
	var empty bytes.Buffer
	must(t, gzip.NewWriter(&empty).Close())
	path := filepath.Join(t.TempDir(), "app.log.1.gz")
	must(t, os.WriteFile(path, bytes.Repeat(empty.Bytes(), 100_000), 0o644))
	f, err := os.Open(path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	a := &archive{f: f, in: stopping{cancellable{ctx, f}, cancel}}
	defer a.Close()
	if err := a.sight(&stream{}); !errors.Is(err, context.Canceled) {
		t.Errorf("read on: %v", err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at > 64<<10 {
		t.Errorf("%d bytes were read, %v", at, err)
	}
}

// stopping asks for a stop with its first read.
type stopping struct {
	io.Reader
	stop context.CancelFunc
}

func (s stopping) Read(p []byte) (int, error) {
	defer s.stop()
	return s.Reader.Read(p)
}
