package console

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Row is a labelled value of a screen.
type Row struct{ Label, Value string }

// Screen is a block of text that stands out of the log. What is too wide for it is
// broken at spaces.
type Screen struct {
	Title string
	Rows  []Row
	// Advice are whole lines: what to do now.
	Advice []string
}

// screenWidth fits an 80-column terminal.
const screenWidth = 78

// Show puts a screen on all terminals.
func (c *Console) Show(screen Screen) {
	_, _ = c.Write([]byte(screen.render()))
}

func (s Screen) render() string {
	rule := strings.Repeat("=", screenWidth)
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s\n", rule)
	writeWrapped(&out, " ", s.Title)
	out.WriteByte('\n')
	for _, row := range s.Rows {
		writeWrapped(&out, fmt.Sprintf("   %-10s ", row.Label), row.Value)
	}
	if len(s.Advice) > 0 {
		out.WriteByte('\n')
	}
	for _, line := range s.Advice {
		writeWrapped(&out, " ", line)
	}
	fmt.Fprintf(&out, "%s\n\n", rule)
	return out.String()
}

// writeWrapped writes text behind what it begins with; further lines are indented as
// far. A word without spaces is never broken: people copy it.
func writeWrapped(out *strings.Builder, begin, text string) {
	text = strings.TrimRight(printable(text), " ")
	for room := screenWidth - len(begin); utf8.RuneCountInString(text) > room; {
		at := breakBefore(text, room)
		if at < 0 {
			break
		}
		fmt.Fprintf(out, "%s%s\n", begin, text[:at])
		begin, text = strings.Repeat(" ", len(begin)), strings.TrimLeft(text[at:], " ")
	}
	fmt.Fprintf(out, "%s%s\n", begin, text)
}

// breakBefore finds the space to break at: the last one within the room, else the first
// one beyond it; -1 when there is none. Spaces that text begins with are no place.
func breakBefore(text string, room int) int {
	at, column, inWords := -1, 0, false
	for i, r := range text {
		if column > room && at >= 0 {
			return at
		}
		if r == ' ' && inWords {
			at = i
		}
		inWords = inWords || r != ' '
		column++
	}
	return at
}

// printable keeps what firmware and servers wrote from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
