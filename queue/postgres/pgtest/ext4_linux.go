package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk is a file system of a machine's own, in a file, so that its power can be cut.
type disk struct {
	t            testing.TB
	image, mount string
}

// newDisk mounts an ext4 where the node has its directory.
func newDisk(t testing.TB, n *node) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a disk whose power can be cut")
	}
	d := &disk{t: t, image: n.dir + ".image", mount: n.dir}
	d.command("truncate", "-s", "256M", d.image)
	d.command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,root_owner="+fmt.Sprint(n.as.Uid, ":", n.as.Gid), d.image)
	d.mountAgain()
	if err := os.Chmod(d.mount, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) mountAgain() {
	d.t.Helper()
	d.command("mount", "-o", "loop,nodiscard", d.image, d.mount)
}

func (d *disk) command(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// sync has everything on the disk that a server believes to find there.
func (d *disk) sync() {
	d.t.Helper()
	d.command("sync", "-f", d.mount)
}

func (d *disk) remove() {
	_ = unix.Unmount(d.mount, unix.MNT_DETACH) // it may not have been mounted
	if err := os.Remove(d.image); err != nil && !os.IsNotExist(err) {
		d.t.Error(err)
	}
}

const (
	ext4Shutdown    = 0x8004587d // EXT4_IOC_SHUTDOWN
	shutdownNoFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is gone
)

// cut ends every write at once: what was not synced never reaches the disk.
func (d *disk) cut() error {
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, shutdownNoFlush)
}

// revive does what the start of a machine does with its disk.
func (d *disk) revive() {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); unix.Unmount(d.mount, 0) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatal("the file system is not let go")
		}
	}
	d.mountAgain()
}

// PowerCut ends all machines as a power cut does, and starts them again.
func (c *Replicas) PowerCut() {
	c.t.Helper()
	machines := c.Machines()
	for _, m := range machines {
		c.check(m.disk.cut())
	}
	for _, m := range machines {
		m.Kill()
		m.disk.revive()
	}
	for _, m := range machines {
		m.Start()
	}
	c.awaitStreaming(c.Primary(), len(machines)-1)
}
