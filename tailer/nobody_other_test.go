//go:build !linux

package tailer

import "syscall"

func nobody() *syscall.SysProcAttr { return nil }
