package tailer

import "golang.org/x/sys/unix"

// IsMount reports whether a file is itself the root of a mount, as one that is bind-mounted
// into a container is. False also where the kernel cannot say (before Linux 5.8).
func IsMount(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, 0, &st)
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
