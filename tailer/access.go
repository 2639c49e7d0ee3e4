package tailer

import "golang.org/x/sys/unix"

// readable says why path could not be opened now, if it could not.
func readable(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS)
}
