package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreignState opens a state directory that root works in and that is another user's: the
// agent's. What its owner can have put there root must not follow out of it. Nil where
// nothing needs care.
func foreignState(dir string) (*os.Root, *syscall.Stat_t, error) {
	if os.Geteuid() != 0 {
		return nil, nil, nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil, nil // the queue makes it, or says what is wrong
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	owner := info.Sys().(*syscall.Stat_t)
	if owner.Uid == 0 {
		return nil, nil, root.Close()
	}
	return root, owner, nil
}

// linked tells of a file that is also somewhere else. The agent makes none.
func linked(info fs.FileInfo) bool {
	st := info.Sys().(*syscall.Stat_t)
	return info.Mode()&fs.ModeSymlink != 0 && st.Uid != 0 || info.Mode().IsRegular() && st.Nlink > 1
}

// checkState refuses a state directory whose owner, who is not root, has put links there:
// root would write to where they lead.
func checkState(dir string) error {
	root, _, err := foreignState(dir)
	if root == nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := root.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an agent that is just ending tidies up
		}
		if err == nil && linked(info) {
			err = fmt.Errorf("%q in the state directory %s is a link, which no agent makes and root does not follow: "+
				"remove it, or run this as the directory's owner", path, dir)
		}
		return err
	})
	return errors.Join(err, root.Close())
}

// KeepOwner hands what root has made in the state directory to whom the directory
// belongs: the agent, which is somebody else, could not open its queue again.
func KeepOwner(dir string) error {
	root, owner, err := foreignState(dir)
	if root == nil {
		return err
	}
	var errs []error
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = giveAway(root, path, int(owner.Uid), int(owner.Gid))
		}
		errs = append(errs, err)
		return nil
	})
	return errors.Join(append(errs, err, root.Close())...)
}
