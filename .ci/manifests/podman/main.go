// Command podman starts what a compose file or a kustomization describes with podman, as
// far as the examples need it, so that their pages can be followed on a machine with
// neither Docker nor Kubernetes:
//
//	podman compose DIR [FILE…] | podman kubernetes DIR | podman manifest FILE
//
// Networks become the host's, a service's name an entry of /etc/hosts, claims and volumes
// become podman's. IntelliDocs itself (the service or container "webserver") is a
// stand-in whose root file system is at $STANDIN; databases and brokers are left out.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// container is what both descriptions have in common.
type container struct {
	name, image string
	user        string
	readOnly    bool
	capDrop     []string
	noNewPrivs  bool
	memory      int64
	health      []string
	env         []string
	mounts      []string // as for podman run --volume
	command     []string
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "podman:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 || len(args) > 2 && args[0] != "compose" {
		return fmt.Errorf("usage: podman compose DIR [FILE…], podman kubernetes DIR, podman manifest FILE")
	}
	var containers []container
	var err error
	switch args[0] {
	case "compose":
		containers, err = compose(ctx, args[1], args[2:]...)
	case "kubernetes":
		containers, err = kustomization(args[1])
	case "manifest":
		containers, err = manifest(args[1])
	default:
		err = fmt.Errorf("%s: unknown", args[0])
	}
	if err != nil {
		return err
	}
	for _, c := range containers {
		if err := c.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c container) start(ctx context.Context) error {
	args := []string{"run", "--detach", "--pull=never", "--name", c.name, "--network=host", "--add-host=receiver:127.0.0.1", "--read-only-tmpfs=false"}
	if c.user != "" {
		args = append(args, "--user", c.user)
	}
	if c.readOnly {
		args = append(args, "--read-only")
	}
	for _, name := range c.capDrop {
		args = append(args, "--cap-drop", name)
	}
	if c.noNewPrivs {
		args = append(args, "--security-opt=no-new-privileges")
	}
	if c.memory > 0 {
		args = append(args, fmt.Sprintf("--memory=%d", c.memory), fmt.Sprintf("--memory-swap=%d", c.memory))
	}
	for _, e := range c.env {
		args = append(args, "--env", e)
	}
	for _, m := range c.mounts {
		args = append(args, "--volume", m)
	}
	if c.name == "webserver" {
		if !slices.ContainsFunc(c.env, func(e string) bool {
			return strings.HasPrefix(e, "PAPERLESS_SECRET_KEY=") && !strings.HasSuffix(e, "=")
		}) {
			return fmt.Errorf("webserver: without PAPERLESS_SECRET_KEY IntelliDocs keeps restarting")
		}
		// What IntelliDocs' container does at its start: its data belongs to its user.
		args = append(args, "--workdir=/usr/src/paperless/src", "--rootfs", os.Getenv("STANDIN"), "/bin/sh", "-c",
			"chown -R 1000:1000 /usr/src/paperless/data && setpriv --reuid=1000 --regid=1000 --clear-groups python3 manage.py check && exec sleep infinity")
	} else {
		args = append(append(args, c.image), c.command...)
	}
	cmd := exec.CommandContext(ctx, "podman", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("podman %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
