package main

import (
	"fmt"
	"html"
	"os"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/internal/golden"
)

// docs/tree.svg is docs/tree.txt, drawn.
func TestTree(t *testing.T) {
	source, err := os.ReadFile("docs/tree.txt")
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "docs/tree.svg", drawTree(t, string(source)), "docs/tree.txt", "go test . -run TestTree -update")
}

// The picture has a card behind the text, so the text can be read on any page. If the
// viewer asks for dark colours, the card is dark too.
const treeHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-label="%[3]s">
<style>
text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328; }
.title { font-weight: bold; }
.remark { fill: #59636e; }
.bad { fill: #b3261e; font-weight: bold; }
.good { fill: #116329; font-weight: bold; }
.card { fill: #f6f8fa; stroke: #8c959f; }
.line { fill: none; stroke: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .remark { fill: #9da7b3; }
  .bad { fill: #ff8a80; }
  .good { fill: #6fdd8b; }
  .card { fill: #161b22; }
}
</style>
`

func drawTree(t *testing.T, source string) string {
	t.Helper()
	const cardWidth, gap, lineHeight, indent, letter, margin = 430, 20, 24, 24, 8.43, 16
	var cards [][]string
	for line := range strings.Lines(source) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "== "):
			cards = append(cards, []string{line[3:]})
		case len(cards) == 0:
			t.Fatalf("%q comes before a title", line)
		default:
			cards[len(cards)-1] = append(cards[len(cards)-1], line)
		}
	}
	var b strings.Builder
	var titles []string
	rows := 0
	for column, card := range cards {
		titles = append(titles, card[0])
		rows = max(rows, len(card))
		left := column * (cardWidth + gap)
		fmt.Fprintf(&b, `<rect class="card" x="%d.5" y="0.5" width="%d" height="%%[1]d" rx="8"/>`+"\n", left, cardWidth-1)
		fmt.Fprintf(&b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", left+margin, lineHeight+4, html.EscapeString(card[0]))
		var last []int // the row of the latest line of each level
		for i, line := range card[1:] {
			class := ""
			switch {
			case strings.HasPrefix(line, "!"):
				class, line = ` class="bad"`, " "+line[1:]
			case strings.HasPrefix(line, "+"):
				class, line = ` class="good"`, " "+line[1:]
			}
			text := strings.TrimLeft(line, " ")
			level := (len(line) - len(text)) / 2
			name, remark, _ := strings.Cut(text, " -- ")
			if level > len(last) {
				t.Fatalf("%q is more than one level below the line before", line)
			}
			y := (i+2)*lineHeight + 14
			x := left + margin + level*indent
			if level > 0 {
				fmt.Fprintf(&b, `<path class="line" d="M%d.5 %d V%d.5 H%d"/>`+"\n", x-indent+6, last[level-1]+6, y-5, x-4)
			}
			last = append(last[:level], y)
			fmt.Fprintf(&b, `<text%s x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(name))
			if remark != "" {
				fmt.Fprintf(&b, `<text class="remark" x="%d" y="%d">%s</text>`+"\n", x+int(letter*float64(len(name)+2)), y, html.EscapeString(remark))
			}
		}
	}
	height := (rows+1)*lineHeight + 4
	head := fmt.Sprintf(treeHead, len(cards)*(cardWidth+gap)-gap, height, html.EscapeString(strings.Join(titles, ", and ")))
	return head + fmt.Sprintf(b.String(), height-1) + "</svg>\n"
}
