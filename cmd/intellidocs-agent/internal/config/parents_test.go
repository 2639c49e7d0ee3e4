package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lay makes a directory with a mode, whatever the umask is.
func lay(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// found are the weaknesses below a directory of this test.
func found(base, path string) string {
	var texts []string
	for _, w := range weaknesses(path) {
		if w.dir == base || strings.HasPrefix(w.dir, base+"/") {
			texts = append(texts, w.text)
		}
	}
	return strings.Join(texts, "\n")
}

func TestParents_WhoMayReplaceTheStateIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		mode os.FileMode
		want string
	}{
		"this user's alone":      {0o755, ""},
		"everybody's":            {0o777, "every user of this machine may replace it: DIR is "},
		"everybody's not theirs": {0o757, "chmod o-w DIR"},
		"everybody's and sticky": {0o777 | os.ModeSticky, ""},
		"with the set-gid bit":   {0o777 | os.ModeSetgid, "mode 2777; chmod "},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			dir := lay(t, filepath.Join(base, "srv"), c.mode)
			elsewhere := lay(t, filepath.Join(base, "other"), 0o755)
			for _, path := range []string{
				filepath.Join(dir, "state"), filepath.Join(dir, "not", "there", "yet"),
				// The way leads through it, the directory itself is elsewhere; and the other way round.
				filepath.Join(dir, "link"), filepath.Join(elsewhere, "link"), filepath.Join(elsewhere, "relative"),
			} {
				switch filepath.Base(path) {
				case "state":
					lay(t, path, 0o700)
				case "link", "relative":
					target := lay(t, filepath.Join(elsewhere, "state"), 0o700)
					if filepath.Dir(path) == elsewhere {
						target = filepath.Join(dir, "state")
					}
					if filepath.Base(path) == "relative" {
						target = "../srv/state"
					}
					if err := os.Symlink(target, path); err != nil {
						t.Fatal(err)
					}
				}
				want := strings.ReplaceAll(c.want, "DIR", dir)
				if got := found(base, path); !strings.Contains(got, want) || want == "" && got != "" || strings.Count(got, "\n") > 0 {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
			}
			// Where a directory above is weak, so is all below.
			if got := found(base, lay(t, filepath.Join(dir, "strong", "state"), 0o700)); (got != "") != (c.want != "") {
				t.Errorf("below a directory that is in order: %q", got)
			}
		})
	}
}

func TestParents_OwnersAndGroups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make directories of others")
	}
	const stranger, agent = 4242, 4243
	for name, c := range map[string]struct {
		mode              os.FileMode
		owner, group, its int // of the directory; of the state in it
		want              string
	}{
		"root's":                                {0o755, 0, 0, agent, ""},
		"the agent's own":                       {0o755, agent, agent, agent, ""},
		"a stranger's":                          {0o700, stranger, 0, agent, "4242 may replace it: DIR is 4242's, group root, mode 0700; keep it elsewhere, or chown root DIR"},
		"a stranger's and sticky":               {0o777 | os.ModeSticky, stranger, 0, agent, "4242 may replace it"},
		"root's, for root's group":              {0o775, 0, 0, agent, ""},
		"root's, for a group that nobody knows": {0o775, 0, stranger, agent, "whoever is in the group 4242 may replace it: DIR is root's, group 4242, mode 0775; chmod g-w DIR"},
		"root's, for such a group, and sticky":  {0o775 | os.ModeSticky, 0, stranger, agent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir := lay(t, filepath.Join(base, "srv"), 0o755)
			state := lay(t, filepath.Join(dir, "state"), 0o700)
			if err := os.Chown(state, c.its, c.its); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(dir, c.owner, c.group); err != nil {
				t.Fatal(err)
			}
			lay(t, dir, c.mode)
			want := strings.ReplaceAll(c.want, "DIR", dir)
			if got := found(base, state); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestParents_APrivateGroupHasNoOtherAccount(t *testing.T) {
	etc := t.TempDir()
	write(t, filepath.Join(etc, "passwd"), "root:x:0:0::/:/bin/sh\nagent:x:501:501::/:\nwww:x:502:502::/:\nsecond:x:503:700::/:\nthird:x:504:700::/:\nodd\n")
	write(t, filepath.Join(etc, "group"), "root:x:0:www\nagent:x:501:\nshared:x:600:agent, www\nmine:x:601:agent,root\nodd:x:602:agent,ldap\nwww:x:502:\n:::\n")
	for gid, want := range map[uint32]bool{
		0:   true,  // root's is root, whoever is in it
		501: true,  // as useradd makes it
		502: false, // another's
		600: false, // a member is another
		601: true,
		602: false, // a member that is not known
		700: false, // others have it without being its members
		800: false, // nobody is in it that is known
	} {
		if got := private(etc, gid, []uint32{0, 501}); got != want {
			t.Errorf("%d: %v", gid, got)
		}
	}
	if gid := uint32(os.Getegid()); !private(t.TempDir(), gid, []uint32{0}) {
		t.Error("without accounts the group of this process is another's") // a container's
	}
}
