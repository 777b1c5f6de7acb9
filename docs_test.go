package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// spoken has the messages of functions that log with a variable as the level or as the
// message.
var spoken = map[string]struct {
	messages []string
	reason   string
}{
	"notDelegated":   {[]string{"cgroup not delegated"}, "a warning where the user can change something"},
	"lines":          {[]string{"reaped orphan"}, "a warning with -w only"},
	"orderTiniLines": {[]string{"exec "}, "the name of the program"},
	"tiniLines":      {[]string{"Reaped zombie process with pid=", "Unexpected error when forwarding signal: '", "fork failed: "}, "the process, the reason"},
	"render":         {nil, "the lines are those of other functions"},
	"explainEnd":     {[]string{"child ended by signal"}, "a warning where the signal was not forwarded"},
	"cannotBeInit":   {[]string{"Failed to register as child subreaper: "}, "the reason"},
}

// printed has the messages that main.go prints without Log.
var printed = []string{"Usage", "write stdout"}

// docs/troubleshooting.md has a heading for each message that the program logs at its
// default level, and for each state in which it does nothing.
func TestDocsHaveEveryMessage(t *testing.T) {
	messages := append(logged(t), printed...)
	if len(messages) < 10 {
		t.Fatalf("only %q are found: is it still called Log?", messages)
	}
	states := refused(t)
	if len(states) < 10 {
		t.Fatalf("only %q are found: are they still called skip and refuse?", states)
	}
	const page = "docs/troubleshooting.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			headings = append(headings, strings.Trim(line, "# \n"))
		}
	}
	for _, text := range append(messages, states...) {
		if !slices.ContainsFunc(headings, func(heading string) bool { return covers(heading, text) }) {
			t.Errorf("%s has no heading with %q", page, text)
		}
	}
}

// covers reports whether text is in the heading. The heading may have " ... " in place
// of the middle of the text.
func covers(heading, text string) bool {
	first, last, shortened := strings.Cut(heading, " ... ")
	return strings.Contains(heading, text) || shortened && strings.HasPrefix(text, first) && strings.Contains(text, last)
}

// logged lists the messages of the package shim that are errors, warnings or notices.
func logged(t *testing.T) (messages []string) {
	t.Helper()
	files, err := filepath.Glob("shim/*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, f := range functions(t, file) {
			variable := false
			for _, args := range lines(f) {
				if len(args) > 1 {
					switch level := name(args[0]); level {
					case "LevelInfo", "LevelDebug", "LevelTrace":
						continue
					case "LevelError", "LevelWarn":
					default:
						variable = true
					}
					args = args[1:]
				}
				if message, constant := text(args[0]); constant {
					messages = append(messages, message)
				} else {
					variable = true
				}
			}
			if !variable {
				continue
			}
			list, found := spoken[f.Name.Name]
			if !found {
				t.Errorf("%s: what %s logs is a variable: list it in spoken", file, f.Name.Name)
			}
			used++
			for _, message := range list.messages {
				if !slices.Contains(literals(f), message) {
					t.Errorf("%s: %s does not say %q any more", file, f.Name.Name, message)
				}
				messages = append(messages, message)
			}
		}
	}
	if used != len(spoken) {
		t.Errorf("%d functions of spoken are used, of %d", used, len(spoken))
	}
	return messages
}

// lines returns the level and the message of each line in f, or the message alone of a
// notice. A line of PID 1 is an element of a list and begins with its ID.
func lines(f *ast.FuncDecl) (found [][]ast.Expr) {
	for _, call := range callsOf(f, "Log", "Line", "ChildLine", "Render") {
		found = append(found, call.Args[:2])
	}
	for _, call := range callsOf(f, "Notice") {
		found = append(found, call.Args[:1])
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.CompositeLit); ok && len(l.Elts) == 4 && strings.HasPrefix(name(l.Elts[0]), "Line") {
			found = append(found, l.Elts[1:3])
		}
		return true
	})
	return found
}

// refused lists the states that a plan can end in without a step.
func refused(t *testing.T) (states []string) {
	t.Helper()
	const file = "cgroup/decide.go"
	values := map[string]string{}
	for _, declaration := range parse(t, file).Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			if len(value.Values) == 1 && name(value.Type) == "State" {
				values[value.Names[0].Name], _ = text(value.Values[0])
			}
		}
	}
	for _, f := range functions(t, file) {
		if f.Name.Name == "refuse" {
			continue // its state is an argument
		}
		for _, call := range callsOf(f, "skip", "refuse") {
			state, found := values[name(call.Args[0])]
			if !found {
				t.Errorf("%s: the state in %s is not a constant", file, f.Name.Name)
			}
			states = append(states, state)
		}
	}
	return states
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func functions(t *testing.T, file string) (found []*ast.FuncDecl) {
	t.Helper()
	for _, declaration := range parse(t, file).Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok {
			found = append(found, f)
		}
	}
	return found
}

// callsOf finds the calls of methods in f.
func callsOf(f *ast.FuncDecl, methods ...string) (calls []*ast.CallExpr) {
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && slices.Contains(methods, name(call.Fun)) && len(call.Args) > 0 {
			calls = append(calls, call)
		}
		return true
	})
	return calls
}

// literals returns the constant strings in f.
func literals(f *ast.FuncDecl) (found []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if s, constant := text(e); constant {
				found = append(found, s)
			}
		}
		return true
	})
	return found
}

// name returns the name of an identifier, or the last name of a selector.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// text returns the value of a constant string, which may be a sum of several strings.
func text(e ast.Expr) (s string, constant bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok1 := text(e.X)
		right, ok2 := text(e.Y)
		return left + right, ok1 && ok2
	}
	return "", false
}

// A stranger reads README first, so README must stay short.
func TestREADMEIsShort(t *testing.T) {
	const most = 120
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > most {
		t.Errorf("README.md has %d lines, and may have %d", lines, most)
	}
}
