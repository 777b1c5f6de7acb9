package images

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/docker"
)

// registry starts Debian's docker-registry and returns its address.
func registry(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", config)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("the registry's log ends with\n%s", said[max(0, len(said)-2000):])
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if answer, err := http.Get("http://" + address + "/v2/"); err == nil {
			_ = answer.Body.Close()
			return address
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestRelease publishes the images of dist/ as the release workflow does, but to a registry of
// its own. Each image must be for the right platforms and must run. A second push must
// publish the same images.
func TestRelease(t *testing.T) {
	dist := os.Getenv("CGSHIM_DIST")
	if dist == "" {
		t.Fatal("CGSHIM_DIST is not set: run make release")
	}
	d := docker.Start(t)
	address := registry(t)
	d.Import("plain:local", docker.Busybox(t, nil))

	// docker:dind is an index of images for several platforms.
	base := address + "/docker:dind"
	var parts []string
	for _, arch := range []string{"amd64", "arm64"} {
		part := address + "/docker:dind-" + arch
		dind(t, d, part)
		d.Must("push", part)
		parts = append(parts, part)
	}
	d.Must(append([]string{"manifest", "create", "--insecure", base}, parts...)...)
	d.Must("manifest", "annotate", base, parts[1], "--arch=arm64") // docker import sets no architecture
	d.Must("manifest", "push", "--insecure", base)

	pushed := push(t, dist, address, base)
	var released []string
	files, _ := filepath.Glob(filepath.Join(dist, "cgshim-linux-*"))
	for _, file := range files {
		if filepath.Ext(file) == "" {
			released = append(released, goPlatform(strings.TrimPrefix(filepath.Base(file), "cgshim-linux-")))
		}
	}
	both := slices.DeleteFunc([]string{"linux/amd64", "linux/arm64"}, func(platform string) bool { return !slices.Contains(released, platform) })
	for name, want := range map[string][]string{"cgshim": released, "dind": both} {
		slices.Sort(want)
		if got := platforms(t, address, name); !slices.Equal(got, want) {
			t.Errorf("%s is for %q, want %q", name, got, want)
		}
	}
	if again := push(t, dist, address, base); again != pushed {
		t.Errorf("pushed again: %q, then %q", pushed, again)
	}

	// Use the digests, as the workflow does for cosign.
	refs := strings.Fields(pushed)
	if len(refs) != 2 || !strings.HasPrefix(refs[0], address+"/cgshim@sha256:") || !strings.HasPrefix(refs[1], address+"/dind@sha256:") {
		t.Fatalf("pushed %q", pushed)
	}
	for _, ref := range refs {
		d.Must("pull", ref)
	}
	says, err := exec.Command(filepath.Join(dist, "cgshim-linux-"+runtime.GOARCH), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, buildKit := range map[string]bool{"BuildKit": true, "the builder before it": false} {
		t.Run(name, func(t *testing.T) { testBinary(t, d, buildKit, refs[0], string(says)) })
	}
	t.Run("dind", func(t *testing.T) { testDind(t, d, refs[1], parts[0], string(says)) })
}

func push(t *testing.T, dist, address, base string) string {
	t.Helper()
	cmd := exec.Command("make", "-s", "push-images", "REGISTRY="+address, "BASE="+base, "DIST="+dist, "VERSION="+version)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("push: %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// goPlatform returns the platform in an index for the name of a port in dist/.
func goPlatform(name string) string {
	if name == "armv7" {
		return "linux/arm/v7"
	}
	return "linux/" + name
}

// platforms returns the platforms in the index of an image.
func platforms(t *testing.T, address, name string) (list []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v2/"+name+"/manifests/"+version, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/vnd.oci.image.index.v1+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var index struct {
		Manifests []struct {
			Platform struct{ OS, Architecture, Variant string }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&index); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", name, answer.Status, err)
	}
	for _, m := range index.Manifests {
		platform := m.Platform.OS + "/" + m.Platform.Architecture
		if m.Platform.Variant != "" {
			platform += "/" + m.Platform.Variant
		}
		list = append(list, platform)
	}
	slices.Sort(list)
	return list
}
