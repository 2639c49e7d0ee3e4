package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects is where ConfigMaps and Secrets lie as directories of files: $OBJECTS.
func objects(kind, name string) string { return filepath.Join(os.Getenv("OBJECTS"), kind, name) }

func kustomization(dir string) ([]container, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, err
	}
	return fromManifests(string(text))
}

func manifest(file string) ([]container, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return fromManifests(string(text))
}

func fromManifests(text string) ([]container, error) {
	var deployments []appsv1.Deployment
	for _, one := range strings.Split(text, "\n---\n") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(one), &head); err != nil {
			return nil, err
		}
		switch head.Kind {
		case "ConfigMap":
			var m corev1.ConfigMap
			if err := yaml.UnmarshalStrict([]byte(one), &m); err != nil {
				return nil, err
			}
			data := map[string][]byte{}
			for key, value := range m.Data {
				data[key] = []byte(value)
			}
			if err := store(objects("config", m.Name), data); err != nil {
				return nil, err
			}
		case "Secret":
			var s corev1.Secret
			if err := yaml.UnmarshalStrict([]byte(one), &s); err != nil {
				return nil, err
			}
			if err := store(objects("secret", s.Name), s.Data); err != nil {
				return nil, err
			}
		case "Deployment":
			var d appsv1.Deployment
			if err := yaml.UnmarshalStrict([]byte(one), &d); err != nil {
				return nil, err
			}
			deployments = append(deployments, d)
		}
	}
	var all []container
	for _, d := range deployments {
		pod := d.Spec.Template.Spec
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			if c.Name == "broker" {
				continue
			}
			one, err := fromContainer(pod, c)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// store writes a volume's files as the kubelet does: root's, readable for the group fsGroup.
func store(dir string, data map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, value := range data {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, value, 0o440); err != nil {
			return err
		}
		if err := os.Chown(file, 0, 1000); err != nil {
			return err
		}
	}
	return nil
}

func fromContainer(pod corev1.PodSpec, k corev1.Container) (container, error) {
	c := container{name: k.Name, image: k.Image, command: append(k.Command, k.Args...), memory: k.Resources.Limits.Memory().Value()}
	if s := k.SecurityContext; s != nil {
		c.readOnly = s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem
		c.noNewPrivs = s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
		if s.Capabilities != nil {
			for _, name := range s.Capabilities.Drop {
				c.capDrop = append(c.capDrop, string(name))
			}
		}
		if s.RunAsUser != nil {
			c.user = fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup)
		}
	}
	if s := pod.SecurityContext; c.user == "" && s != nil && s.RunAsUser != nil {
		c.user = fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup)
	}
	for _, e := range k.Env {
		if from := e.ValueFrom; from != nil {
			value, err := os.ReadFile(filepath.Join(objects("secret", from.SecretKeyRef.Name), from.SecretKeyRef.Key))
			if err != nil {
				return c, fmt.Errorf("%s: %w", e.Name, err)
			}
			e.Value = strings.TrimSpace(string(value))
		}
		c.env = append(c.env, e.Name+"="+e.Value)
	}
	for _, m := range k.VolumeMounts {
		source, err := volume(pod, m.Name)
		if err != nil {
			return c, err
		}
		c.mounts = append(c.mounts, source+":"+m.MountPath+mode(m.ReadOnly))
	}
	return c, nil
}

func volume(pod corev1.PodSpec, name string) (string, error) {
	for _, v := range pod.Volumes {
		switch {
		case v.Name != name:
		case v.ConfigMap != nil:
			return objects("config", v.ConfigMap.Name), nil
		case v.Secret != nil:
			return objects("secret", v.Secret.SecretName), nil
		case v.PersistentVolumeClaim != nil:
			return claim(v.PersistentVolumeClaim.ClaimName)
		}
	}
	return "", fmt.Errorf("no volume %s", name)
}

// claim makes a podman volume that fsGroup may write to, as the kubelet prepares one.
func claim(name string) (string, error) {
	name = "k8s-" + name
	if exec.Command("podman", "volume", "exists", name).Run() == nil {
		return name, nil
	}
	if out, err := exec.Command("podman", "volume", "create", name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("podman volume create %s: %w: %s", name, err, out)
	}
	out, err := exec.Command("podman", "volume", "inspect", "--format", "{{.Mountpoint}}", name).Output()
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	if err := os.Chown(dir, 0, 1000); err != nil {
		return "", err
	}
	return name, os.Chmod(dir, 0o775|os.ModeSetgid)
}
