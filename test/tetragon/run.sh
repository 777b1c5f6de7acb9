#!/bin/sh
# Runs the published Tetragon beside a pod with dockerd under cgshim, in a cluster of kind, and
# holds that every event has the pod. It needs docker, kind, kubectl, helm, jq and the network.
#
#   docker build --tag cgshim:dind . && test/tetragon/run.sh cgshim:dind
set -eu
image=$1
version=1.7.1 # of Tetragon's chart
cluster=cgshim-tetragon
bad=0

# Tetragon reads /proc of the machine below this directory (its documentation, "Quick Kubernetes
# Install", kind).
kind create cluster --name "$cluster" --config - <<END
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane, extraMounts: [{hostPath: /proc, containerPath: /procHost}]}]
END
trap 'kind delete cluster --name "$cluster"' EXIT
kind load docker-image --name "$cluster" "$image"

tetragon() {
	# By default events without a pod are dropped. They are what this looks for.
	helm upgrade --install tetragon tetragon --repo https://helm.cilium.io --version "$version" --namespace kube-system \
		--set tetragon.hostProcPath=/procHost --set-string tetragon.exportDenyList= "$@"
	kubectl --namespace kube-system rollout restart daemonset/tetragon
	kubectl --namespace kube-system rollout status daemonset/tetragon --timeout 5m
}

# pod starts dockerd in a privileged pod.
pod() {
	kubectl apply --filename - <<END
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: cgshim}}
spec:
  containers:
    - name: docker
      image: $image
      imagePullPolicy: Never
      securityContext: {privileged: true}
      env: [{name: DOCKER_TLS_CERTDIR, value: ""}, {name: CGSHIM_CGROUP, value: require}]
      volumeMounts: [{name: docker, mountPath: /var/lib/docker}]
  volumes: [{name: docker, emptyDir: {}}]
END
	kubectl wait --for=condition=Ready "pod/$1" --timeout 5m
	for _ in $(seq 60); do
		kubectl exec "$1" -- docker version >/dev/null 2>&1 && return
		sleep 1
	done
	kubectl logs "$1"
	return 1
}

# holds waits for an event that has a word in its arguments, and compares its pod.
holds() { # what, kind of event, word, pod
	for _ in $(seq 60); do
		found=$(kubectl --namespace kube-system logs daemonset/tetragon --container export-stdout --tail=-1 |
			jq -r --arg kind "$2" --arg word "$3" \
				'.[$kind].process // empty | select((.arguments // "") | contains($word)) | .pod.name // "none"' | sort -u)
		[ -z "$found" ] || break
		sleep 1
	done
	if [ "$found" = "$4" ]; then
		echo "ok: $1"
	else
		echo "FAILED: $1: the pod is \"$found\", not $4" >&2
		bad=1
	fi
}

# inner runs a command in an inner container of a pod.
inner() {
	pod=$1
	shift
	kubectl exec "$pod" -- docker run --rm busybox "$@"
}

# Helm's default.
tetragon
pod first
kubectl exec first -- echo word-outer-default
holds "outer exec, by name" process_exec word-outer-default first
kubectl exec first -- sh -c 'sleep 95.75 >/dev/null 2>&1 &'
kubectl --namespace kube-system rollout restart daemonset/tetragon
kubectl --namespace kube-system rollout status daemonset/tetragon --timeout 5m
kubectl exec first -- pkill -f 'sleep 95.75'
holds "a process that ran before the agent, by name" process_exit 95.75 first

# With the ids of cgroups, and a policy that is there before the first inner container.
tetragon --set tetragon.cgidmap.enabled=true --set tetragon.cri.enabled=true \
	--set tetragon.cri.socketHostPath=/run/containerd/containerd.sock
kubectl apply --filename - <<END
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata: {name: cgshim}
spec:
  podSelector: {matchLabels: {app: cgshim}}
  kprobes: [{call: sys_setpriority, syscall: true}]
END
pod second
kubectl exec second -- echo word-outer-cgidmap
holds "outer exec" process_exec word-outer-cgidmap second
inner second echo word-inner-cgidmap
holds "inner exec" process_exec word-inner-cgidmap second
kubectl exec second -- nice -n 5 echo word-outer-policy
holds "policy, outer" process_kprobe word-outer-policy second
inner second nice -n 5 echo word-inner-policy
holds "policy, inner" process_kprobe word-inner-policy second

kubectl exec second -- sh -c 'sleep 96.75 >/dev/null 2>&1 &'
kubectl --namespace kube-system rollout restart daemonset/tetragon
kubectl --namespace kube-system rollout status daemonset/tetragon --timeout 5m
kubectl exec second -- pkill -f 'sleep 96.75'
holds "a process that ran before the agent" process_exit 96.75 second
inner second echo word-inner-restarted
holds "inner exec, after a restart of the agent" process_exec word-inner-restarted second
exit $bad
