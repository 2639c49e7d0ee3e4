package manifests

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// rendered is what a chart comes to, by kind; each holds one of ours at most.
type rendered map[string][]byte

// of decodes the manifest of a kind, with unknown and doubled fields refused.
func of[T any](t *testing.T, r rendered, kind string) *T {
	t.Helper()
	into := map[string]*T{}
	decode(t, into, kind, r[kind])
	return into[kind]
}

// render is helm template: Helm's own loader, schema and engine.
func render(t *testing.T, sets ...string) (rendered, error) {
	t.Helper()
	c, err := loader.Load("../../examples/helm/intellidocs-agent")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../examples/helm/values-example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ReadValues(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range sets {
		more, err := chartutil.ReadValues([]byte(set))
		if err != nil {
			t.Fatal(err)
		}
		values = chartutil.CoalesceTables(more, values)
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "agent", Namespace: "intellidocs", IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, all)
	if err != nil {
		t.Fatal(err)
	}
	out := rendered{}
	for name, text := range files {
		var head struct{ Kind string }
		if strings.HasSuffix(name, ".txt") || strings.TrimSpace(text) == "" {
			continue
		}
		if err := yaml.Unmarshal([]byte(text), &head); err != nil || out[head.Kind] != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		out[head.Kind] = []byte(text)
	}
	return out, nil
}

func TestHelm_TheAgentRunsAsTheKustomizationHasIt(t *testing.T) {
	r, err := render(t)
	if err != nil {
		t.Fatal(err)
	}
	if kinds := slices.Sorted(maps.Keys(r)); !slices.Equal(kinds, []string{"ConfigMap", "Deployment", "PersistentVolumeClaim", "Service"}) {
		t.Errorf("it makes %v", kinds)
	}
	d := of[appsv1.Deployment](t, r, "Deployment")
	pod, a := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
	theirPod, theirs := agent(t, build(t))
	for name, pair := range map[string][2]any{
		"security context": {a.SecurityContext, theirs.SecurityContext}, "pod's security context": {pod.SecurityContext, theirPod.SecurityContext},
		"liveness probe": {a.LivenessProbe, theirs.LivenessProbe}, "startup probe": {a.StartupProbe, theirs.StartupProbe}, "resources": {a.Resources, theirs.Resources},
		"service account token": {pod.AutomountServiceAccountToken, theirPod.AutomountServiceAccountToken},
	} {
		ours, _ := yaml.Marshal(pair[0])
		want, _ := yaml.Marshal(pair[1])
		if string(ours) != string(want) {
			t.Errorf("%s:\n%s\nthe kustomization has\n%s", name, ours, want)
		}
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = v
	}
	for _, m := range a.VolumeMounts {
		if _, ok := volumes[m.Name]; !ok {
			t.Errorf("no volume %s", m.Name)
		}
	}
	claim, config := of[corev1.PersistentVolumeClaim](t, r, "PersistentVolumeClaim"), of[corev1.ConfigMap](t, r, "ConfigMap")
	service := of[corev1.Service](t, r, "Service")
	switch {
	case *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType:
		t.Error("two could run at once")
	case volumes["state"].PersistentVolumeClaim.ClaimName != claim.Name || claim.Annotations["helm.sh/resource-policy"] != "keep":
		t.Errorf("the queue's claim: %+v, %+v", volumes["state"], claim)
	case volumes["data"].PersistentVolumeClaim.ClaimName != "intellidocs-data" || !a.VolumeMounts[0].ReadOnly:
		t.Errorf("IntelliDocs' data: %+v, %+v", volumes["data"], a.VolumeMounts)
	case volumes["secrets"].Secret.SecretName != "intellidocs-agent" || volumes["config"].ConfigMap.Name != config.Name:
		t.Errorf("secrets and configuration: %+v", volumes)
	case pod.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels["app.kubernetes.io/name"] != "intellidocs":
		t.Error("it need not run on IntelliDocs' node")
	case !strings.Contains(config.Data["agent.toml"], `url = "https://example.org/hooks/intellidocs"`):
		t.Errorf("the configuration:\n%s", config.Data["agent.toml"])
	}
	for k, v := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[k] != v || service.Spec.Selector[k] != v {
			t.Errorf("label %s=%s selects nothing", k, v)
		}
	}
	if d.Spec.Template.Labels["app.kubernetes.io/name"] == "intellidocs" {
		t.Error("IntelliDocs' Service would select the agent")
	}
}

func TestHelm_WhatIsAskedForBesides(t *testing.T) {
	r, err := render(t, "serviceMonitor: {enabled: true, labels: {release: prometheus}}", "networkPolicy: {enabled: true}",
		"state: {existingClaim: mine}", "env: [{name: TZ, value: Europe/Madrid}]", "data: {readOnly: false, subPath: data}")
	if err != nil {
		t.Fatal(err)
	}
	policy := of[networkingv1.NetworkPolicy](t, r, "NetworkPolicy")
	d := of[appsv1.Deployment](t, r, "Deployment")
	a := d.Spec.Template.Spec.Containers[0]
	switch {
	case len(r["PersistentVolumeClaim"]) != 0:
		t.Error("it makes a claim beside one that exists")
	case len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].From) != 1:
		t.Errorf("network policy: %+v", policy.Spec)
	case a.Env[0].Value != "Europe/Madrid" || a.VolumeMounts[0].ReadOnly || a.VolumeMounts[0].SubPath != "data":
		t.Errorf("container: %+v", a)
	case d.Spec.Template.Annotations["prometheus.io/scrape"] != "":
		t.Error("it would be scraped twice")
	case !strings.Contains(string(r["ServiceMonitor"]), "release: prometheus"):
		t.Errorf("service monitor:\n%s", r["ServiceMonitor"])
	}
}

func TestHelm_TheSchemaRefusesWhatCannotBe(t *testing.T) {
	for _, wrong := range []string{
		`existingSecret: ""`, "data: {existingClaim: \"\"}", "stat: {}", "runAsUser: 0", "state: {size: 4}", "image: {pullPolicy: Sometimes}", "data: {mountpath: /x}",
	} {
		if _, err := render(t, wrong); err == nil {
			t.Errorf("taken: %s", wrong)
		}
	}
}

func TestHelm_TheSchemaAndTheCommentsKnowEveryValue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../../examples/helm/intellidocs-agent", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ReadValues(text)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("../../examples/helm/intellidocs-agent/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct{ Properties map[string]any }
	if err := yaml.Unmarshal(schema, &known); err != nil {
		t.Fatal(err)
	}
	for key := range values {
		if known.Properties[key] == nil {
			t.Errorf("%s is not in the schema", key)
		}
		delete(known.Properties, key)
	}
	delete(known.Properties, "global")
	if len(known.Properties) > 0 {
		t.Errorf("only the schema has %v", known.Properties)
	}
}
