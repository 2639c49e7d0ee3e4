package tailer

import "path/filepath"

// MountWarning says what comes of a log that IsMount: a mount holds on to the file, whatever
// its name is by then.
func MountWarning(path string) string {
	return path + " is a mount of its own: nothing will be seen of it after its first rotation; mount its directory (" + filepath.Dir(path) + ") instead"
}
