// Command words counts words that make comments and documents hard to follow. It fails if
// 1,000 words have more of them than the limits allow.
//
//	words [-root DIR] [-list] FILE...
//
// Generated documents and code in documents are left out.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// measures has the patterns that are counted, and how often 1,000 words may match each.
var measures = []struct {
	name           string
	pattern        *regexp.Regexp
	comments, docs float64
}{
	{"who, somebody, nobody", regexp.MustCompile(`(?i)\b(who|whom|whoever|somebody|someone|nobody|anybody|anyone|everybody|everyone)\b`), 0.2, 0.1},
	// A colon at the end of a paragraph, before a list or code, does not count.
	{"colons", regexp.MustCompile(`[\pL\d)"'*_]:\s+\S`), 2, 1.3},
	{"that of, one that, what is", regexp.MustCompile(`(?i)\b(that of|those of|ones? that|what is)\b`), 0.6, 0.3},
}

// A passage is a paragraph of a comment or a document, without line breaks.
type passage struct {
	line int
	text string
}

type file struct {
	name  string
	docs  bool
	words int
	hits  [][]passage // by measure
}

func main() {
	root := flag.String("root", ".", "the directory that the names are in")
	list := flag.Bool("list", false, "print every hit")
	flag.Parse()
	var files []file
	for _, name := range flag.Args() {
		data, err := os.ReadFile(filepath.Join(*root, name))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if list, docs := passages(name, string(data)); len(list) > 0 {
			files = append(files, count(name, docs, list))
		}
	}
	if len(files) == 0 {
		fmt.Fprintln(os.Stderr, "words: no file has a comment or prose: name files below -root")
		os.Exit(1)
	}
	if !report(files, *list) {
		os.Exit(1)
	}
}

// passages returns the prose of a file, and reports whether the file is a document.
func passages(name, text string) (list []passage, docs bool) {
	switch base := filepath.Base(name); {
	case filepath.Ext(name) == ".go":
		return goComments(text), false
	case filepath.Ext(name) == ".s", filepath.Ext(name) == ".c":
		return lineComments(text, "//"), false
	case filepath.Ext(name) == ".sh", filepath.Ext(name) == ".yml", filepath.Ext(name) == ".yaml",
		base == "Makefile", strings.HasPrefix(base, "Dockerfile"):
		return lineComments(text, "#"), false
	case filepath.Ext(name) == ".md":
		return markdown(text), true
	case filepath.Ext(name) == ".8":
		return manual(text), true
	}
	return nil, false
}

// paragraphs joins lines up to the next empty line.
type paragraphs struct {
	list []passage
	open bool
}

func (p *paragraphs) add(line int, text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		p.open = false
		return
	}
	if !p.open {
		p.list = append(p.list, passage{line: line})
		p.open = true
	}
	last := &p.list[len(p.list)-1]
	last.text += text + " "
}

func goComments(text string) []passage {
	var p paragraphs
	var s scanner.Scanner
	files := token.NewFileSet()
	source := files.AddFile("", files.Base(), len(text))
	s.Init(source, []byte(text), nil, scanner.ScanComments)
	before := 0
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return p.list
		}
		if tok != token.COMMENT {
			continue
		}
		line := source.Line(pos)
		if line != before+1 {
			p.add(line, "")
		}
		for i, part := range strings.Split(strings.TrimSuffix(strings.TrimPrefix(literal, "/*"), "*/"), "\n") {
			before = line + i
			part = strings.TrimPrefix(part, "//")
			// Leave out directives, and code in a comment.
			if strings.HasPrefix(part, "go:") || strings.HasPrefix(part, "\t") || strings.HasPrefix(part, " +build") {
				part = ""
			}
			p.add(before, part)
		}
	}
}

func lineComments(text, mark string) []passage {
	var p paragraphs
	for i, line := range strings.Split(text, "\n") {
		comment, found := strings.CutPrefix(strings.TrimSpace(line), mark)
		if !found || strings.HasPrefix(comment, "!") || strings.HasPrefix(comment, "   ") {
			comment = ""
		}
		p.add(i+1, comment)
	}
	return p.list
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	separator  = regexp.MustCompile(`^[|\s:-]+$`)
	fact       = regexp.MustCompile(`^- (Status|Date): `) // of a decision
	item       = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
)

func markdown(text string) []passage {
	if first, _, _ := strings.Cut(text, "\n\n| "); strings.Contains(first, "do not edit") || strings.Contains(first, "Generated from") {
		return nil
	}
	var p paragraphs
	fenced, generated, after := false, false, true
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
			p.add(i+1, "")
			continue
		case strings.HasPrefix(line, "<!-- begin"):
			generated = true
		case strings.HasPrefix(line, "<!-- end"):
			generated = false
			continue
		}
		title := strings.HasPrefix(line, "#") || fact.MatchString(line) // a message may be a title
		code := after && strings.HasPrefix(line, "    ") && !item.MatchString(line)
		if fenced || generated || code || title || separator.MatchString(line) {
			p.add(i+1, "")
			continue
		}
		after = strings.TrimSpace(line) == ""
		if strings.HasPrefix(line, "|") || item.MatchString(line) {
			p.add(i+1, "")
		}
		line = linkTarget.ReplaceAllString(inlineCode.ReplaceAllString(line, "CODE"), "]")
		if strings.HasPrefix(line, "|") { // each cell is a passage
			for _, cell := range strings.Split(line, "|") {
				p.add(i+1, cell)
				p.add(i+1, "")
			}
			continue
		}
		p.add(i+1, item.ReplaceAllString(line, ""))
	}
	return p.list
}

func manual(text string) []passage {
	var p paragraphs
	literal := false
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, ".") {
			macro, _, _ := strings.Cut(line[1:], " ")
			if macro == "Bd" || macro == "Ed" {
				literal = macro == "Bd"
			}
			if slices.Contains([]string{"It", "Pp", "Sh", "Ss", "Bd", "Ed", "El", "Bl"}, macro) {
				p.add(i+1, "")
			}
			continue
		}
		if !literal {
			p.add(i+1, line)
		}
	}
	return p.list
}

func count(name string, docs bool, list []passage) file {
	f := file{name: name, docs: docs, hits: make([][]passage, len(measures))}
	for _, p := range list {
		f.words += len(strings.Fields(p.text))
		for i, m := range measures {
			for _, at := range m.pattern.FindAllStringIndex(p.text, -1) {
				from, to := max(0, at[0]-30), min(len(p.text), at[1]+30)
				f.hits[i] = append(f.hits[i], passage{p.line, strings.ToValidUTF8(p.text[from:to], "")})
			}
		}
	}
	return f
}

// report prints the rate of each measure. If a rate is above its limit, report prints
// the worst files and returns false.
func report(files []file, list bool) (good bool) {
	good = true
	for _, kind := range []struct {
		name string
		docs bool
	}{{"comments", false}, {"docs", true}} {
		var some []file
		words := 0
		for _, f := range files {
			if f.docs == kind.docs {
				some = append(some, f)
				words += f.words
			}
		}
		for i, m := range measures {
			limit, hits := m.comments, 0
			if kind.docs {
				limit = m.docs
			}
			for _, f := range some {
				hits += len(f.hits[i])
			}
			rate := 1000 * float64(hits) / float64(max(1, words))
			fmt.Printf("%-8s %-27s %5.2f in 1,000 words, %4.1f allowed\n", kind.name, m.name, rate, limit)
			if rate > limit {
				good = false
			}
			if rate > limit || list {
				worst(some, i, list)
			}
		}
	}
	return good
}

func worst(files []file, measure int, all bool) {
	files = slices.SortedStableFunc(slices.Values(files), func(a, b file) int {
		return cmp.Compare(len(b.hits[measure]), len(a.hits[measure]))
	})
	for i, f := range files {
		if len(f.hits[measure]) == 0 || i >= 5 && !all {
			return
		}
		fmt.Printf("  %s: %d in %d words\n", f.name, len(f.hits[measure]), f.words)
		for _, hit := range f.hits[measure] {
			fmt.Printf("    %s:%d: %s\n", f.name, hit.line, hit.text)
		}
	}
}
