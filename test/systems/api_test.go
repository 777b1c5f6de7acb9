package systems

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
	core "k8s.io/api/core/v1"
)

// apiServer is a kube-apiserver with an etcd. It has no authorization, because only programs of
// the virtual machine can reach it.
type apiServer struct{ kubeconfig string }

const (
	apiAddress = "https://127.0.0.1:6443"
	token      = "rig"
)

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: rig, cluster: {server: "` + apiAddress + `", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: ` + token + `}}]
contexts: [{name: rig, context: {cluster: rig, user: admin}}]
current-context: rig
`

func startAPI() (*apiServer, error) {
	a := &apiServer{kubeconfig: place + "/kubeconfig"}
	for name, text := range map[string]string{a.kubeconfig: kubeconfig, place + "/tokens.csv": token + `,admin,admin,"system:masters"` + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := writeKey(place + "/service-accounts.key"); err != nil {
		return nil, err
	}
	// The API server needs an address of the machine that is not a loopback address.
	if _, err := rig.Exec("busybox", "ip", "addr", "add", "10.255.255.1/32", "dev", "lo"); err != nil {
		return nil, err
	}
	_, err := daemons.Start("etcd", "etcd", "--data-dir="+place+"/etcd", "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379")
	if err != nil {
		return nil, err
	}
	_, err = daemons.Start("apiserver", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--bind-address=127.0.0.1",
		"--advertise-address=10.255.255.1", "--cert-dir="+place+"/api", "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=AlwaysAllow",
		"--token-auth-file="+place+"/tokens.csv", "--service-account-issuer=https://rig", "--service-account-signing-key-file="+place+"/service-accounts.key",
		"--service-account-key-file="+place+"/service-accounts.key", "--disable-admission-plugins=ServiceAccount,Priority,TaintNodesByCondition,DefaultTolerationSeconds",
		"--allow-privileged=true", "--endpoint-reconciler-type=none", "--enable-priority-and-fairness=false", "-v=1")
	if err != nil {
		return nil, err
	}
	err = rig.Eventually(5*time.Minute, func() error {
		_, err := a.call(http.MethodGet, "/readyz", "", nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kube-apiserver: %w: %s", err, rig.Tail(rig.Read(daemons.File("apiserver")), 5))
	}
	return a, nil
}

func (a *apiServer) call(method, path, kind string, body []byte) ([]byte, error) {
	return call(method, apiAddress+path, token, kind, body)
}

const podsPath = "/api/v1/namespaces/default/pods"

func (a *apiServer) create(p *core.Pod) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	// The namespace and the node come shortly after the server.
	return rig.Eventually(2*time.Minute, func() error {
		_, err := a.call(http.MethodPost, podsPath, "application/json", text)
		return err
	})
}

func (a *apiServer) remove(name string) error {
	_, err := a.call(http.MethodDelete, podsPath+"/"+name, "", nil)
	return err
}

func (a *apiServer) resize(pod, container string, memory int64) error {
	patch := fmt.Appendf(nil, `{"spec":{"containers":[{"name":"%s","resources":{"requests":{"memory":"%d"},"limits":{"memory":"%d"}}}]}}`, container, memory, memory)
	_, err := a.call(http.MethodPatch, podsPath+"/"+pod+"/resize", "application/strategic-merge-patch+json", patch)
	return err
}
