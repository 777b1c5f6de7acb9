// Package cgroup delegates the cgroup v2 of a container. After a delegation the cgroups
// of inner containers are created below the container's cgroup.
//
// The container's cgroup becomes the root of a cgroup namespace and of /sys/fs/cgroup.
// Every process of the container moves into one cgroup below, which is called the leaf.
// Then all controllers are enabled for the cgroups below the container's cgroup.
//
// [Delegate] does the whole work. [Observe] collects the facts. [Decide] turns the facts
// into a [Plan] and touches nothing. [Plan.Apply] carries the plan out or undoes it.
// Afterwards [Report.Follow] copies later changes of the container's limits into the
// leaf. The package starts no process and logs nothing. It works only on the calling
// thread, which has to be the main thread of the process (see [ErrThread]).
//
// From version 1 on, exported names keep their meaning, and the zero [Options] stay a
// good choice. Structs may get new fields, so write their literals with field names.
// New values of [State] may appear, and wordings may change. docs/library.md has an
// example program.
//
// Do not use this package
//   - outside of a container. It refuses the host's own hierarchy in every mode.
//   - to manage the cgroups of inner containers. It only prepares the place for a program
//     that does so (dockerd, containerd, kubelet, systemd).
//   - on cgroup v1, whose hierarchies nest by themselves.
//
// The kernel's rules are in cgroups(7), in cgroup_namespaces(7) and in
// Documentation/admin-guide/cgroup-v2.rst. Comments call the .rst file "the kernel
// document".
package cgroup
