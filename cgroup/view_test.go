package cgroup

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// view is everything that a delegation may change.
type view struct {
	Membership string
	Namespace  uint64
	Mounts     []string // root and flags of each mount at and below /sys/fs/cgroup
	Type       string
	Processes  []string
	Enabled    string
	Children   []string
	Leaf       []string
}

func look(leaf string) (v view) {
	data, _ := os.ReadFile("/proc/self/cgroup")
	v.Membership = parseMembership(string(data)).unified
	var s unix.Stat_t
	must("stat ns", unix.Stat("/proc/self/ns/cgroup", &s))
	v.Namespace = s.Ino
	data, _ = os.ReadFile("/proc/self/mountinfo")
	for _, m := range parseMountinfo(string(data), everywhere) {
		if m.Point == mountPoint || strings.HasPrefix(m.Point, mountPoint+"/") {
			v.Mounts = append(v.Mounts, fmt.Sprint(m.ID, " ", m.Root, " ", m.Point, " ", m.Type, " ", slices.Contains(m.Options, "ro")))
		}
	}
	read := func(name string) string {
		b, _ := os.ReadFile(witness + "/" + name)
		return strings.TrimSpace(string(b))
	}
	v.Type, v.Enabled = read("cgroup.type"), read(subtreeControl)
	v.Processes, v.Leaf = strings.Fields(read("cgroup.procs")), strings.Fields(read(leaf+"/cgroup.procs"))
	slices.Sort(v.Processes) // the kernel lists them in the order of their arrival
	slices.Sort(v.Leaf)
	entries, _ := os.ReadDir(witness)
	for _, e := range entries {
		if e.IsDir() {
			v.Children = append(v.Children, e.Name())
		}
	}
	return v
}

// delegated checks the result of a delegation.
func (s *sandbox) delegated(out outcome) {
	s.t.Helper()
	s.delegatedWithout(nil, out)
}

// delegatedWithout checks the result of a delegation that could not enable these
// controllers.
func (s *sandbox) delegatedWithout(missing []string, out outcome) {
	s.t.Helper()
	if out.Skip || out.Err != "" {
		s.t.Fatalf("not delegated: %s %s %s", out.State, out.Reason, out.Err)
	}
	s.enabledWithout(missing, out)
	after := out.After
	if reported := slices.Sorted(slices.Values(out.Report.Enabled)); !out.Report.Delegated || !slices.Equal(reported, slices.Sorted(slices.Values(strings.Fields(after.Enabled)))) {
		s.t.Errorf("reported as delegated: %v, as enabled: %q, but enabled is %q", out.Report.Delegated, reported, after.Enabled)
	}
	if after.Type != "domain" || !slices.Contains(after.Leaf, "1") || slices.Contains(after.Processes, "1") {
		s.t.Errorf("type %q, leaf %q, base %q", after.Type, after.Leaf, after.Processes)
	}
	if after.Membership != "/"+s.leaf() { // the leaf is below the root of the namespace
		s.t.Errorf("own cgroup is %q", after.Membership)
	}
	var stat unix.Stat_t
	if err := unix.Stat(s.dir, &stat); err != nil || out.Report.ID != 0 && stat.Ino != out.Report.ID {
		s.t.Errorf("cgroup id %d, reported %d, %v", stat.Ino, out.Report.ID, err)
	}
	top := ""
	for _, m := range after.Mounts {
		if f := strings.Fields(m); f[2] == mountPoint {
			top = m
		}
	}
	if f := strings.Fields(top); len(f) < 5 || f[1] != "/" || f[3] != "cgroup2" || f[4] != "false" {
		s.t.Errorf("mounts %q", after.Mounts)
	}
}

// family returns the names of a leaf and its sibling.
func family(leaf string) []string {
	return slices.Sorted(slices.Values([]string{leaf, siblingOf(leaf)}))
}

// enabledWithout checks that all controllers but these are enabled for inner
// containers.
func (s *sandbox) enabledWithout(missing []string, out outcome) {
	s.t.Helper()
	controllers, err := os.ReadFile(filepath.Dir(s.dir) + "/" + subtreeControl)
	if err != nil {
		s.t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Fields(string(controllers)), func(name string) bool { return slices.Contains(missing, name) })
	slices.Sort(want)
	got := strings.Fields(out.After.Enabled)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("enabled %q, want %q", got, want)
	}
}

func (s *sandbox) leaf() string { return cmp.Or(s.leafName, "init") }

// untouched checks the state after a failure.
func (s *sandbox) untouched(out outcome) {
	s.t.Helper()
	before, after := reflect.ValueOf(out.Before), reflect.ValueOf(out.After)
	for i := range before.NumField() {
		if b, a := before.Field(i).Interface(), after.Field(i).Interface(); !reflect.DeepEqual(b, a) {
			s.t.Errorf("changed by a failure (%s): %s was %v, is %v", out.Err, before.Type().Field(i).Name, b, a)
		}
	}
}

// once checks that all these runs of cgshim in one container end in one delegation.
func (s *sandbox) once(out outcome, leaf string) {
	s.t.Helper()
	warned := slices.ContainsFunc(out.Exec, func(run outcome) bool { return len(run.Warned) > 0 }) // perhaps there is no sibling
	if children := childrenOf(s.t, s.dir); !slices.Equal(children, family(leaf)) && !(warned && slices.Equal(children, []string{leaf})) || len(childrenOf(s.t, s.dir+"/"+leaf)) > 0 {
		s.t.Errorf("children %q", children)
	}
	for i, run := range out.Exec {
		if run.Dead {
			continue
		}
		if run.Skip || run.Err != "" || run.Report.Outside || run.After.Membership != "/"+leaf {
			s.t.Errorf("run %d: %q, %s%s, own cgroup %s", i+1, run.State, run.Reason, run.Err, run.After.Membership)
		}
		// In a private namespace, any namespace that begins at the container's cgroup
		// will do.
		if last := out.Exec[len(out.Exec)-1]; out.Before.Namespace == InitialCgroupNamespace && run.After.Namespace != last.After.Namespace || run.After.Enabled == "" {
			s.t.Errorf("run %d: namespace %d and not %d, enabled %q", i+1, run.After.Namespace, last.After.Namespace, run.After.Enabled)
		}
	}
}
