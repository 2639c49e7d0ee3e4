package agent

import (
	"context"
	"fmt"
	"sync"
)

// group runs parts until the first of them fails or the context ends, and joins all.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// start runs f in a goroutine of its own; its error stops the others.
func (g *group) start(name string, f func(context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil && g.ctx.Err() == nil {
			g.once.Do(func() { g.err = fmt.Errorf("%s: %w", name, err) })
			g.cancel(g.err)
		}
	})
}

// wait joins the parts and returns the first error.
func (g *group) wait() error {
	g.wg.Wait()
	g.cancel(nil)
	return g.err
}
