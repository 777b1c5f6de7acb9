package systems

import (
	"fmt"
	"strings"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// observed asks the cAdvisor that is built into the kubelet. The container must have one
// series with its labels, and it must be that of the container's own cgroup. The leaf and
// the inner containers have series without labels. A leaf whose name cAdvisor took for a
// container's would have a second series, and sums over the pod would count it twice.
func (c *container) observed() error {
	leaf, err := rig.CgroupOf(c.pid)
	if err != nil {
		return err
	}
	if !rig.NamedAfter(c.id, leaf) {
		return fmt.Errorf("PID 1 is in %s", leaf)
	}
	err = rig.Eventually(90*time.Second, func() error {
		text, err := get("http://127.0.0.1:10255/metrics/cadvisor")
		if err != nil {
			return err
		}
		var labelled, raw []string
		for line := range strings.Lines(string(text)) {
			switch has := func(label, value string) bool { return strings.Contains(line, label+`="`+value+`"`) }; {
			case !strings.HasPrefix(line, "container_memory_usage_bytes{"):
			case has("container", c.name) && has("pod", c.pod.Name):
				labelled = append(labelled, line)
			case has("id", leaf):
				raw = append(raw, line)
			}
		}
		switch {
		case len(raw) != 1: // cAdvisor looks for new cgroups by inotify, and again every minute
			return fmt.Errorf("the leaf has %d series without labels: %q", len(raw), raw)
		case len(labelled) != 1 || !strings.Contains(labelled[0], `id="`+c.cgroup+`"`):
			return fmt.Errorf("the container %s has these series: %q", c.cgroup, labelled)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for line := range strings.Lines(rig.Read(daemons.File("kubelet"))) {
		failed := strings.Contains(line, "Failed to create existing container") || strings.Contains(line, "Failed to process watch event")
		if failed && strings.Contains(line, c.cgroup) {
			return fmt.Errorf("the log of cAdvisor: %s", line)
		}
	}
	return nil
}
