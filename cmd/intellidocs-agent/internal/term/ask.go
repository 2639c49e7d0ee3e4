package term

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Interruptible waits for what a person types, or until they give up.
func Interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	typed := make(chan result, 1)
	go func() {
		v, err := read()
		typed <- result{v, err}
	}()
	select {
	case r := <-typed:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, errors.New("interrupted; nothing was done")
	}
}

// Bar is a progress bar on a terminal, and nothing elsewhere.
func Bar(w io.Writer, total int64, what string, bytes bool) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowBytes(bytes), progressbar.OptionSetVisibility(IsTerminal(w)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}
