//go:build !linux

package queue

// pager is for Linux only.
type pager struct {
	dir   string
	small bool
}

func (*pager) pageOut() bool { return false }

func (*pager) advise() {}
