// Package cgroup makes the cgroup v2 of a container the root of a cgroup
// namespace and of /sys/fs/cgroup, moves every process into a leaf and enables
// all controllers for its children, so that the cgroups of inner containers
// become descendants of the container's own.
//
// [Delegate] does it all. It is made of [Observe], which gathers the facts, [Decide],
// which turns them into a [Plan] without touching anything, and [Plan.Apply], which
// carries that out or undoes it. Afterwards [Report.Follow] keeps the leaf's limits those
// of the container. The package starts nothing, logs nothing and works on the calling
// thread alone, which has to be the main one of the process: see [ErrThread].
//
// From version 1 on what is exported here stays as it is: names, meanings, and the zero
// [Options] as a good choice. Structs may get fields, so write their literals with names;
// a [State] may be added, and wordings may change. docs/library.md has a program.
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
