package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Nobody may write to what is mounted for reading only, whatever its mode is.
func TestParents_WhatIsMountedForReadingOnlyIsFine(t *testing.T) {
	dir := lay(t, filepath.Join(t.TempDir(), "config"), 0o755)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0777"); err != nil {
		t.Skipf("needs root, to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := write(t, filepath.Join(dir, "agent.toml"), "")
	if got := found(dir, path); !strings.Contains(got, "every user") {
		t.Errorf("%q before", got)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "mode=0777"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o777 {
		t.Fatal(info, err)
	}
	if got := found(dir, path); got != "" {
		t.Error(got)
	}
}
