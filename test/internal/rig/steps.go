package rig

// nest is the loop that the peers share: everybody into a leaf, then every
// controller, again until nobody has come in between.
const nest = `
nest() {
	mkdir -p /sys/fs/cgroup/init
	until {
		xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs
		sed 's/ / +/g; s/^/+/' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
	} 2>/dev/null; do :; done
}
`

// DindSteps does what moby's hack/dind does, in its order.
const DindSteps = `#!/bin/sh
export container=docker
grep -q ' /sys/kernel/security ' /proc/mounts || mount -t securityfs none /sys/kernel/security
grep -q ' /tmp ' /proc/mounts || mount -t tmpfs none /tmp
` + nest + `
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || nest
mount --make-rshared /
exec "$@"
`

// UnshareSteps is for a new cgroup namespace.
const UnshareSteps = `#!/bin/sh
umount /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
` + nest + `
nest
exec "$@"
`
