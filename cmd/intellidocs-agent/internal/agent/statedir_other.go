//go:build !linux

package agent

import (
	"os"
	"syscall"
)

// giveAway hands a file of root's to another user.
func giveAway(root *os.Root, path string, uid, gid int) error {
	info, err := root.Lstat(path)
	if err == nil && info.Sys().(*syscall.Stat_t).Uid == 0 && !linked(info) {
		err = root.Lchown(path, uid, gid)
	}
	return err
}
