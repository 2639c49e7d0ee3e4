//go:build !linux

package queue

// pager is for Linux only.
type pager struct{}

func (*pager) pageOut(string) bool { return false }

func (*pager) readNothingAhead(string) {}

func readAtOnce([]byte) {}
