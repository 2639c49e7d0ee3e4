package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCommandsAsRoot_LeaveTheStateToItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act for another user")
	}
	r := newRig(t, "")
	state := filepath.Join(r.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	r.rows()
	err := filepath.Walk(state, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != 65534 {
			t.Errorf("%s belongs to root", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
