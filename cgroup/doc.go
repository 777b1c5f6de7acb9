// Package cgroup makes the cgroup v2 of a container the root of a cgroup
// namespace and of /sys/fs/cgroup, moves every process into a leaf and enables
// all controllers for its children, so that the cgroups of inner containers
// become descendants of the container's own.
//
// [Observe] gathers the facts, [Decide] turns them into a [Plan] without touching
// anything, and [Plan.Apply] carries it out or undoes it. The package starts
// nothing, logs nothing and works on the calling thread alone: namespaces belong
// to a thread, so the caller locks the main one.
//
// Do not use it
//   - outside a container: the host's own hierarchy is refused, in every mode;
//   - to manage cgroups that processes are to be put into later: it only prepares
//     the place for somebody who does (dockerd, containerd, kubelet, systemd);
//   - on cgroup v1, which nests by itself.
//
// The kernel's rules are in cgroups(7), cgroup_namespaces(7) and in
// Documentation/admin-guide/cgroup-v2.rst, "the kernel document" below.
package cgroup
