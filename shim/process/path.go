package process

import "strings"

// defaultPath is the search path of execvp(3) in glibc if PATH is not set.
const defaultPath = "/bin:/usr/bin"

// SearchPath returns the files that execvp(3) would try for name, in order.
// exec.LookPath does not do the same. It does not execute the files to test them, it
// refuses relative elements, and it does not take an empty element for the working
// directory.
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

// LookupEnv returns the value of key in env. As with getenv(3), the first entry counts.
func LookupEnv(env []string, key string) (string, bool) {
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, key+"="); found {
			return value, true
		}
	}
	return "", false
}
