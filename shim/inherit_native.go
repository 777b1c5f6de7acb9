//go:build (amd64 || arm64) && !cgshim_portable

package shim

// inherit is the state that entry recorded.
func inherit() inheritance {
	if entered == 0 {
		return inheritFromRuntime()
	}
	in := inheritance{nofile: &inheritedNofile}
	in.mask.Val[0] = inheritedMask
	const sigIgn = 1
	for sig := range in.actions {
		in.actions[sig] = actionDefault
		if inheritedActions[sig].handler == sigIgn {
			in.actions[sig] = actionIgnore
		}
	}
	return in
}
