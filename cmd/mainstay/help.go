package main

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpWidth is how wide help is, in characters: what a terminal shows without breaking lines itself.
const helpWidth = 80

// writeHelp writes the help of a command. Cobra would write what flags do in one line each, however long it is.
func writeHelp(cmd *cobra.Command, _ []string) {
	about := strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short))
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", filled(about, helpWidth), filledUsage(cmd.UsageString(), helpWidth))
}

// filled breaks paragraphs that have lines longer than a width. What is indented is a list: a line of it is broken beneath what it says.
func filled(text string, width int) string {
	var out []string
	var paragraph []string
	flush := func() {
		if longest(paragraph) > width {
			paragraph = flowed(strings.Join(paragraph, " "), width)
		}
		out, paragraph = append(out, paragraph...), nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && line[0] != ' ' {
			paragraph = append(paragraph, line)
			continue
		}
		flush()
		out = append(out, hanging(line, width)...)
	}
	flush()
	return strings.Join(out, "\n")
}

// filledUsage breaks what a usage says of commands and flags. Examples are for copying, and stay.
func filledUsage(text string, width int) string {
	var lines []string
	var list []bool
	listed := false
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && line[0] != ' ' {
			listed = strings.HasSuffix(line, "Flags:") || strings.HasSuffix(line, "Commands:")
		}
		says := strings.TrimLeft(line, " ")
		if listed && len(line)-len(says) > deepest { // It goes on with what a flag does, where its author broke it.
			lines[len(lines)-1] += " " + says
			continue
		}
		lines, list = append(lines, line), append(list, listed)
	}
	var out []string
	for i, line := range lines {
		if list[i] {
			out = append(out, hanging(line, width)...)
		} else {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// deepest is how far in a flag without a short form begins.
const deepest = len("      ")

// hanging breaks a line of a list beneath its second column, which comes after two blanks or more.
func hanging(line string, width int) []string {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	gap := strings.Index(line[indent:], "  ")
	if utf8.RuneCountInString(line) <= width || gap < 0 {
		return []string{line}
	}
	says := strings.TrimLeft(line[indent+gap:], " ")
	before := line[:len(line)-len(says)]
	column := utf8.RuneCountInString(before)
	lines := flowed(says, width-column)
	for i := range lines {
		lines[i] = before + lines[i]
		before = strings.Repeat(" ", column)
	}
	return lines
}

// flowed is a text in lines of at most so many characters. A word is never cut: a path is for copying.
func flowed(text string, room int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func longest(lines []string) int {
	most := 0
	for _, line := range lines {
		most = max(most, utf8.RuneCountInString(line))
	}
	return most
}
