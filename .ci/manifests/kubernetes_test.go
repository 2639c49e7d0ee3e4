package manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// cluster is the manifests, decoded with unknown and doubled fields refused.
type cluster struct {
	deployments map[string]*appsv1.Deployment
	services    map[string]*corev1.Service
	configs     map[string]*corev1.ConfigMap
	secrets     map[string]*corev1.Secret
	claims      map[string]*corev1.PersistentVolumeClaim
	namespaces  map[string]*corev1.Namespace
}

func decode[T any](t *testing.T, into map[string]*T, name string, text []byte) {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict(text, v, yaml.DisallowUnknownFields); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	into[name] = v
}

func (c *cluster) add(t *testing.T, kind, name string, text []byte) {
	t.Helper()
	switch kind {
	case "apps/v1 Deployment":
		decode(t, c.deployments, name, text)
	case "v1 Service":
		decode(t, c.services, name, text)
	case "v1 ConfigMap":
		decode(t, c.configs, name, text)
	case "v1 Secret":
		decode(t, c.secrets, name, text)
	case "v1 PersistentVolumeClaim":
		decode(t, c.claims, name, text)
	case "v1 Namespace":
		decode(t, c.namespaces, name, text)
	default:
		t.Fatalf("%s: no schema for %s", name, kind)
	}
}

func build(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		map[string]*appsv1.Deployment{},
		map[string]*corev1.Service{},
		map[string]*corev1.ConfigMap{},
		map[string]*corev1.Secret{},
		map[string]*corev1.PersistentVolumeClaim{},
		map[string]*corev1.Namespace{},
	}
	dir := filepath.Join(examples(t), "kubernetes")
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		c.add(t, r.GetApiVersion()+" "+r.GetKind(), r.GetName(), text)
	}
	receiver, err := os.ReadFile(filepath.Join(dir, "receiver.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Split(string(receiver), "\n---\n") {
		var head struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			t.Fatal(err)
		}
		c.add(t, head.APIVersion+" "+head.Kind, head.Metadata.Name, []byte(text))
	}
	return c
}

func agent(t *testing.T, c *cluster) (corev1.PodSpec, corev1.Container) {
	t.Helper()
	pod := c.deployments["intellidocs"].Spec.Template.Spec
	i := slices.IndexFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == "agent" })
	if i < 0 {
		t.Fatal("no init container agent")
	}
	return pod, pod.InitContainers[i]
}

func TestKubernetes_AgentIsANativeSidecarWithoutRights(t *testing.T) {
	pod, a := agent(t, build(t))
	s := a.SecurityContext
	switch {
	case a.RestartPolicy == nil || *a.RestartPolicy != corev1.ContainerRestartPolicyAlways:
		t.Error("not a native sidecar")
	case !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Contains(s.Capabilities.Drop, "ALL"):
		t.Errorf("security context %+v", s)
	case pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("no seccomp profile")
	case a.Resources.Limits.Memory().Value() != 64<<20:
		t.Errorf("memory limit %v", a.Resources.Limits.Memory())
	case a.LivenessProbe == nil || a.StartupProbe == nil:
		t.Error("no probes")
	case *pod.AutomountServiceAccountToken:
		t.Error("the pod has a service account token")
	}
}

func TestKubernetes_EveryMountNamesAVolumeThatExists(t *testing.T) {
	c := build(t)
	for name, d := range c.deployments {
		volumes := map[string]bool{}
		for _, v := range d.Spec.Template.Spec.Volumes {
			volumes[v.Name] = true
			switch {
			case v.ConfigMap != nil && c.configs[v.ConfigMap.Name] == nil,
				v.Secret != nil && c.secrets[v.Secret.SecretName] == nil,
				v.PersistentVolumeClaim != nil && c.claims[v.PersistentVolumeClaim.ClaimName] == nil:
				t.Errorf("%s: volume %s refers to nothing", name, v.Name)
			}
		}
		for _, container := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
			for _, m := range container.VolumeMounts {
				if !volumes[m.Name] {
					t.Errorf("%s/%s: no volume %s", name, container.Name, m.Name)
				}
			}
		}
		if want := fmt.Sprint(d.Spec.Selector.MatchLabels); want != fmt.Sprint(d.Spec.Template.Labels) {
			t.Errorf("%s: the selector %s does not select its pods", name, want)
		}
	}
	for name, s := range c.services {
		if d := c.deployments[name]; d == nil || fmt.Sprint(d.Spec.Template.Labels) != fmt.Sprint(s.Spec.Selector) {
			t.Errorf("service %s selects nothing", name)
		}
	}
}

func TestKubernetes_ApplicationIsWholeInItsConfigMap(t *testing.T) {
	c := build(t)
	sources, err := filepath.Glob("../../examples/intellidocs/intellidocs_events/*.py")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	volume := ""
	for _, v := range c.deployments["intellidocs"].Spec.Template.Spec.Volumes {
		if v.Name == "events-app" {
			volume = v.ConfigMap.Name
		}
	}
	for _, source := range sources {
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if c.configs[volume].Data[filepath.Base(source)] != string(want) {
			t.Errorf("%s is not in the ConfigMap", filepath.Base(source))
		}
	}
	for _, e := range c.deployments["intellidocs"].Spec.Template.Spec.Containers[0].Env {
		if e.Name == "PAPERLESS_APPS" && e.Value == "intellidocs_events.apps.EventsConfig" {
			return
		}
	}
	t.Error("PAPERLESS_APPS does not name the application")
}
