package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
)

func TestStateToken_IsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, admin.TokenName)
	first, err := stateToken(dir)
	if err != nil || len(first) != 64 {
		t.Fatalf("%q %v", first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if again, err := stateToken(dir); err != nil || again != first {
		t.Errorf("%q %v", again, err)
	}
	// One that others could read is no secret any more.
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	other, err := stateToken(dir)
	if err != nil || other == first {
		t.Errorf("%q %v", other, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestStateToken_NeitherLinksNorScrapsAreTaken(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for name, plant := range map[string]func(path string) error{
		"a link":      func(path string) error { return os.Symlink(victim, path) },
		"a hard link": func(path string) error { return os.Link(victim, path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"too short":   func(path string) error { return os.WriteFile(path, []byte("abc\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(victim, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), admin.TokenName)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			if token, err := stateToken(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "remove it") {
				t.Errorf("%q %v", token, err)
			}
		})
	}
}
