// Package examples keeps examples/ valid.
package examples

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func dir(t *testing.T) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../examples")
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every manifest has only fields that the Kubernetes API knows.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dir(t), "kubernetes/*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(data, &kind); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var spec *core.PodSpec
		switch kind.APIVersion + " " + kind.Kind {
		case "v1 Pod":
			var pod core.Pod
			err, spec = yaml.UnmarshalStrict(data, &pod), &pod.Spec
		case "apps/v1 Deployment":
			var deployment apps.Deployment
			err, spec = yaml.UnmarshalStrict(data, &deployment), &deployment.Spec.Template.Spec
		default:
			t.Errorf("%s: %+v is not checked", file, kind)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		volumes := map[string]bool{}
		for _, v := range spec.Volumes {
			volumes[v.Name] = true
		}
		for _, c := range append(spec.InitContainers, spec.Containers...) {
			for _, m := range c.VolumeMounts {
				if !volumes[m.Name] {
					t.Errorf("%s: no volume %s", file, m.Name)
				}
			}
			known(t, file, c.Env)
		}
	}
}

// known checks the variables against the man page.
func known(t *testing.T, file string, env []core.EnvVar) {
	t.Helper()
	page := string(read(t, "../docs/cgshim.8"))
	for _, v := range env {
		if strings.HasPrefix(v.Name, "CGSHIM_") && !strings.Contains(page, ".Pq Ev "+v.Name+"\n") {
			t.Errorf("%s: %s is no variable of cgshim", file, v.Name)
		}
	}
}

func TestDaemonJSON(t *testing.T) {
	var daemon struct {
		Init     bool   `json:"init"`
		InitPath string `json:"init-path"`
	}
	if err := json.Unmarshal(read(t, "daemon.json"), &daemon); err != nil || !daemon.Init || filepath.Base(daemon.InitPath) != "docker-init" {
		t.Errorf("%+v, %v", daemon, err)
	}
}

func TestCompose(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Init        bool              `json:"init"`
			Privileged  bool              `json:"privileged"`
			Environment map[string]string `json:"environment"`
		} `json:"services"`
	}
	if err := yaml.Unmarshal(read(t, "compose.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	docker := file.Services["docker"]
	if docker.Init || !docker.Privileged || docker.Environment["CGSHIM_CGROUP"] != "require" {
		t.Errorf("%+v", docker)
	}
}

// The entry points are words of JSON, and begin with cgshim.
func TestDockerfiles(t *testing.T) {
	for _, name := range []string{"Dockerfile.dind", "Dockerfile.debian"} {
		_, rest, found := strings.Cut(string(read(t, name)), "\nENTRYPOINT ")
		line, _, _ := strings.Cut(rest, "\n")
		var words []string
		if err := json.Unmarshal([]byte(line), &words); !found || err != nil || len(words) < 3 || words[0] != "/cgshim" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
	}
}
