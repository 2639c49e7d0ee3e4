// Package race has tests do less of what the race detector cannot judge. Under it, computing
// takes ten times as long, and it finds nothing where one goroutine computes: there, a part is
// enough. Without it a test does all.
package race

// Rounds is how many rounds a test takes: all, or fewer under the race detector.
func Rounds(all, under int) int {
	if on {
		return under
	}
	return all
}

// Part is all, or one in n of them under the race detector, the first among them.
func Part[T any](all []T, n int) (part []T) {
	if !on {
		return all
	}
	for i := 0; i < len(all); i += n {
		part = append(part, all[i])
	}
	return part
}
