//go:build !linux

package mapped

// Advice is for Linux only.
type Advice int

// What Linux is told.
const (
	Random Advice = iota
	Cold
	PageOut
)

// Advise does nothing here.
func Advise(func(path string) bool, ...Advice) {}

// Unmap does nothing here.
func Unmap(func(path string) bool) {}

// ReadAtOnce does nothing here.
func ReadAtOnce([]byte) {}
