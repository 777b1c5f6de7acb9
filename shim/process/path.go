package process

import "strings"

// defaultPath is where glibc's execvp(3) looks when PATH is not set.
const defaultPath = "/bin:/usr/bin"

// SearchPath lists the files that execvp(3) would try for name, in order. Unlike
// exec.LookPath it tries them all by executing them, takes relative elements, and
// knows an empty element as the working directory.
func SearchPath(name string, env []string) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	path, set := LookupEnv(env, "PATH")
	if !set {
		path = defaultPath
	}
	var files []string
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			files = append(files, name)
		} else {
			files = append(files, dir+"/"+name)
		}
	}
	return files
}

// LookupEnv returns the value of key in env, where the first one counts as for
// getenv(3).
func LookupEnv(env []string, key string) (string, bool) {
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, key+"="); found {
			return value, true
		}
	}
	return "", false
}
