package tailer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// bindMounted mounts a file over another of the same file system, as a container does with a
// volume that is one file.
func bindMounted(t *testing.T, path string) {
	t.Helper()
	behind := filepath.Join(t.TempDir(), "behind.log")
	for _, p := range []string{behind, path} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(behind, path, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs to mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

func TestMount_ALogThatIsOneIsSaidToLoseItsRotations(t *testing.T) {
	dir := t.TempDir()
	mounted, plain := filepath.Join(dir, "mounted.log"), filepath.Join(dir, "plain.log")
	bindMounted(t, mounted)
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.log")
	if err := os.Symlink(mounted, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{mounted: true, link: true, plain: false, dir: false, filepath.Join(dir, "none"): false} {
		if got := IsMount(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}

	s := &store{}
	r := follow(t, s, link)
	eventually(t, "the warning", func() bool { return r.log.Status().Warning != "" })
	if st := r.log.Status(); !st.Ready || !strings.Contains(st.Warning, mounted) {
		t.Errorf("ready %v, %q", st.Ready, st.Warning)
	}
	if got := follow(t, &store{}, plain).log.Status().Warning; got != "" {
		t.Errorf("of a log that is none: %q", got)
	}
}
