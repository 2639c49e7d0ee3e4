package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// memoryAllowed is the hard limit of the cgroup that this process is in, or of one around it,
// math.MaxInt64 where there is none (cgroups(7), proc_pid_mountinfo(5)).
func memoryAllowed() int64 {
	allowed := int64(math.MaxInt64)
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for mount := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(mount, " - ")
		place, system := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(system) < 3 {
			continue
		}
		file, controller := "memory.max", ""
		if system[0] == "cgroup" && slices.Contains(strings.Split(system[2], ","), "memory") {
			file, controller = "memory.limit_in_bytes", "memory"
		} else if system[0] != "cgroup2" {
			continue
		}
		dir := strings.TrimPrefix(groupOf(string(groups), controller), place[3])
		for dir = filepath.Join("/", dir); ; dir = filepath.Dir(dir) {
			text, _ := os.ReadFile(filepath.Join(place[4], dir, file))
			if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				allowed = min(allowed, limit)
			}
			if dir == "/" {
				break
			}
		}
	}
	return allowed
}

// groupOf is the path of the cgroup with a controller, of the second version where that is "".
func groupOf(groups, controller string) string {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return fields[2]
		}
	}
	return "/"
}
