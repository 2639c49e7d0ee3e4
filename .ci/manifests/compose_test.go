package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func loadCompose(t *testing.T, env ...string) *types.Project {
	t.Helper()
	dir := filepath.Join(examples(t), "compose")
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "docker-compose.yml")},
		cli.WithWorkingDirectory(dir), cli.WithEnv(env), cli.WithProfiles([]string{"try"}), cli.WithName("intellidocs"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func mount(t *testing.T, service types.ServiceConfig, target string) types.ServiceVolumeConfig {
	t.Helper()
	for _, v := range service.Volumes {
		if v.Target == target {
			return v
		}
	}
	t.Fatalf("%s: nothing is mounted at %s", service.Name, target)
	return types.ServiceVolumeConfig{}
}

func TestCompose_AgentReadsWebserversDataAndOwnsItsState(t *testing.T) {
	project := loadCompose(t)
	agent, webserver := project.Services["agent"], project.Services["webserver"]
	theirs, ours := mount(t, webserver, "/usr/src/paperless/data"), mount(t, agent, "/usr/src/paperless/data")
	if theirs.Source != ours.Source || !ours.ReadOnly {
		t.Errorf("data: webserver %+v, agent %+v", theirs, ours)
	}
	if state := mount(t, agent, "/var/lib/intellidocs-agent"); state.Source == ours.Source || state.ReadOnly {
		t.Errorf("state: %+v", state)
	}
	for _, bind := range []types.ServiceVolumeConfig{
		mount(t, webserver, "/usr/src/paperless/src/intellidocs_events"), mount(t, agent, "/etc/intellidocs-agent"),
	} {
		if info, err := os.Stat(bind.Source); err != nil || !info.IsDir() || !bind.ReadOnly {
			t.Errorf("%s: %v, read-only %v", bind.Source, err, bind.ReadOnly)
		}
	}
}

func TestCompose_AgentHasNoMoreRightsThanItNeeds(t *testing.T) {
	for _, name := range []string{"agent", "receiver"} {
		service := loadCompose(t).Services[name]
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") || service.User != "1000:1000" ||
			!slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: read_only %v, cap_drop %v, user %q, security_opt %v", name, service.ReadOnly, service.CapDrop, service.User, service.SecurityOpt)
		}
	}
	agent := loadCompose(t).Services["agent"]
	if agent.MemLimit != 64<<20 {
		t.Errorf("mem_limit %d", agent.MemLimit)
	}
	for _, port := range agent.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is published on %q", port.Published, port.HostIP)
		}
	}
	if len(agent.EnvFiles) > 0 {
		t.Error("IntelliDocs' environment would reach the agent")
	}
}

func TestCompose_UsermapMovesAgentToTheLogsOwner(t *testing.T) {
	if user := loadCompose(t, "USERMAP_UID=1234", "USERMAP_GID=1235").Services["agent"].User; user != "1234:1235" {
		t.Errorf("user %q", user)
	}
}

func TestCompose_SecretsComeAsFiles(t *testing.T) {
	project := loadCompose(t)
	for _, name := range []string{"webhook_secret", "admin_token"} {
		if _, err := os.Stat(project.Secrets[name].File); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(project.Services["agent"].Secrets, func(s types.ServiceSecretConfig) bool { return s.Source == name }) {
			t.Errorf("the agent does not get %s", name)
		}
	}
}

func TestCompose_WebserverLoadsTheApplication(t *testing.T) {
	env := loadCompose(t).Services["webserver"].Environment
	for key, want := range map[string]string{
		"PAPERLESS_APPS": "intellidocs_events.apps.EventsConfig", "PAPERLESS_AI_EVENTS_TO": "file",
	} {
		if got := env[key]; got == nil || *got != want {
			t.Errorf("%s is not %s", key, want)
		}
	}
}
