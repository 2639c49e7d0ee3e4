package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keepOwner gives what root has made in the state directory to whom the directory
// belongs: the agent, which is somebody else, could not open its queue again.
func keepOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	var errs []error
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(st.Uid), int(st.Gid))
		}
		errs = append(errs, err)
		return nil
	})
	return errors.Join(append(errs, err)...)
}
