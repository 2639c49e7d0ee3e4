package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// postgresCluster is as much of CloudNativePG's Cluster as the example uses: its own types need the operator's module.
type postgresCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Instances int `json:"instances"`
		Affinity  struct {
			PodAntiAffinityType string `json:"podAntiAffinityType"`
		} `json:"affinity"`
		PostgreSQL struct {
			Synchronous struct {
				Method         string `json:"method"`
				Number         int    `json:"number"`
				DataDurability string `json:"dataDurability"`
				FailoverQuorum bool   `json:"failoverQuorum"`
			} `json:"synchronous"`
		} `json:"postgresql"`
		Bootstrap struct {
			Initdb struct {
				Database string `json:"database"`
				Owner    string `json:"owner"`
			} `json:"initdb"`
		} `json:"bootstrap"`
		Storage struct {
			Size string `json:"size"`
		} `json:"storage"`
		Resources corev1.ResourceRequirements `json:"resources"`
	} `json:"spec"`
}

func TestFleet_Kubernetes(t *testing.T) {
	dir := filepath.Join(examples(t), "fleet", "kubernetes")
	for _, name := range []string{"webhook_secret", "admin_token", "paperless_secret_key"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	sets, databases, secrets, configs := map[string]*appsv1.StatefulSet{}, map[string]*postgresCluster{}, map[string]*corev1.Secret{}, map[string]*corev1.ConfigMap{}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch r.GetKind() {
		case "StatefulSet":
			decode(t, sets, r.GetName(), text)
		case "Cluster":
			decode(t, databases, r.GetName(), text)
		case "Secret":
			decode(t, secrets, r.GetName(), text)
		case "ConfigMap":
			decode(t, configs, r.GetName(), text)
		}
	}
	db := databases["intellidocs-queue"].Spec
	if s := db.PostgreSQL.Synchronous; db.Instances != 3 || s.Method != "any" || s.Number != 1 || s.DataDurability != "required" || !s.FailoverQuorum || db.Affinity.PodAntiAffinityType != "required" {
		t.Errorf("not a quorum of three: %+v", db)
	}
	set := sets["intellidocs"].Spec
	pod := set.Template.Spec
	i := slices.IndexFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == "agent" })
	agent := pod.InitContainers[i]
	_, single := agentOf(t)
	if agent.SecurityContext.String() != single.SecurityContext.String() || agent.LivenessProbe.String() != single.LivenessProbe.String() || agent.Resources.String() != single.Resources.String() {
		t.Error("the agent does not run as the single one does")
	}
	if !slices.Contains(agent.Env, corev1.EnvVar{Name: "PGSSLMODE", Value: "verify-full"}) {
		t.Error("anybody could be the database")
	}
	// Secrets that CloudNativePG makes for a Cluster.
	made := []string{"intellidocs-queue-app", "intellidocs-queue-ca"}
	names := []string{}
	for _, v := range pod.Volumes {
		names = append(names, v.Name)
		switch {
		case v.Secret != nil && secrets[v.Secret.SecretName] == nil && !slices.Contains(made, v.Secret.SecretName),
			v.ConfigMap != nil && configs[v.ConfigMap.Name] == nil, v.PersistentVolumeClaim != nil:
			t.Errorf("volume %s refers to nothing", v.Name)
		}
	}
	for _, claim := range set.VolumeClaimTemplates {
		names = append(names, claim.Name)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, m := range c.VolumeMounts {
			if !slices.Contains(names, m.Name) {
				t.Errorf("%s: no volume %s", c.Name, m.Name)
			}
		}
	}
}

func agentOf(t *testing.T) (corev1.PodSpec, corev1.Container) {
	t.Helper()
	return agent(t, build(t))
}

func TestFleet_Compose(t *testing.T) {
	dir := filepath.Join(examples(t), "compose")
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "docker-compose.yml"), filepath.Join(dir, "..", "fleet", "compose", "docker-compose.yml")},
		cli.WithWorkingDirectory(dir), cli.WithName("intellidocs"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	single, one, two := loadCompose(t).Services["agent"], project.Services["agent"], project.Services["agent-2"]
	for _, s := range []types.ServiceConfig{one, two} {
		if s.User != single.User || !s.ReadOnly || s.MemLimit != single.MemLimit || !slices.Equal(s.CapDrop, single.CapDrop) || s.Image != single.Image || s.HealthCheck == nil {
			t.Errorf("%s does not run as the single one does: %+v", s.Name, s)
		}
		if data := mount(t, s, "/usr/src/paperless/data"); !data.ReadOnly {
			t.Errorf("%s may write to IntelliDocs' data", s.Name)
		}
		if info, err := os.Stat(filepath.Join(mount(t, s, "/etc/intellidocs-agent").Source, "agent.toml")); err != nil || info.IsDir() {
			t.Errorf("%s: %v", s.Name, err)
		}
		if !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return c.Source == "queue_url" }) || len(s.Volumes) != 2 || len(s.Ports) != 1 || s.Ports[0].HostIP != "127.0.0.1" {
			t.Errorf("%s: secrets %v, volumes %v, ports %v", s.Name, s.Secrets, s.Volumes, s.Ports)
		}
	}
	if one.Hostname == two.Hostname || one.Ports[0].Published == two.Ports[0].Published {
		t.Error("two agents of one name, or on one port")
	}
	if got, want := project.Secrets["queue_url"].File, filepath.Join(filepath.Dir(dir), "fleet", "compose", "secrets", "queue_url"); got != want {
		t.Errorf("the URL's file is %s, not %s", got, want)
	}
}
