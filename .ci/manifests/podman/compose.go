package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// order is in which the services start; those that are not named are left out.
var order = []string{"webserver", "receiver", "agent"}

func compose(ctx context.Context, dir string, files ...string) ([]container, error) {
	if len(files) == 0 {
		files = []string{"docker-compose.yml"}
	}
	for i, file := range files {
		files[i] = filepath.Join(dir, file)
	}
	options, err := cli.NewProjectOptions(files,
		cli.WithWorkingDirectory(dir), cli.WithProfiles([]string{"try"}), cli.WithName("intellidocs"), cli.WithOsEnv)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	var all []container
	for _, name := range order {
		one, err := fromService(project, project.Services[name])
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func fromService(project *types.Project, s types.ServiceConfig) (container, error) {
	c := container{
		name: s.Name, image: s.Image, user: s.User, readOnly: s.ReadOnly, capDrop: s.CapDrop,
		noNewPrivs: slices.Contains(s.SecurityOpt, "no-new-privileges:true"), memory: int64(s.MemLimit), command: s.Command,
	}
	for key, value := range s.Environment {
		if value != nil {
			c.env = append(c.env, key+"="+*value)
		}
	}
	for _, v := range s.Volumes {
		source := v.Source
		if v.Type == types.VolumeTypeVolume {
			source = project.Volumes[v.Source].Name
		} else if err := os.MkdirAll(source, 0o755); err != nil { // as compose does
			return c, err
		}
		c.mounts = append(c.mounts, source+":"+v.Target+mode(v.ReadOnly))
	}
	for _, secret := range s.Secrets {
		c.mounts = append(c.mounts, project.Secrets[secret.Source].File+":/run/secrets/"+secret.Source+":ro")
	}
	return c, nil
}

func mode(readOnly bool) string {
	if readOnly {
		return ":ro"
	}
	return ""
}
