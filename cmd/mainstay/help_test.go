package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Help fits a terminal of 80 columns, whatever command it is of. Examples are for copying, and are not broken.
func TestHelpFitsATerminal(t *testing.T) {
	root := newRoot(environment{})
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		var b bytes.Buffer
		c.SetOut(&b)
		if err := c.Help(); err != nil {
			t.Error(err)
		}
		examples := false
		for line := range strings.SplitSeq(b.String(), "\n") {
			if line != "" && line[0] != ' ' {
				examples = line == "Examples:" || line == "Usage:"
			}
			if !strings.Contains(strings.TrimSpace(line), " ") {
				continue // A word is not cut.
			}
			if !examples && utf8.RuneCountInString(line) > helpWidth {
				t.Errorf("%s: a line of %d characters: %s", c.CommandPath(), utf8.RuneCountInString(line), line)
			}
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(root)
}

func TestWhatFlagsDoIsBrokenBeneathIt(t *testing.T) {
	got := filledUsage("Usage:\n  mainstay kb index [SOURCE...] [flags]\n\nExamples:\n  mainstay kb index runbooks   # all of it in one line\n\nFlags:\n"+
		"      --index folder   the folder of the index, which\n                       is long\n  -h, --help           help\n", 40)
	const want = "Usage:\n  mainstay kb index [SOURCE...] [flags]\n\nExamples:\n  mainstay kb index runbooks   # all of it in one line\n\nFlags:\n" +
		"      --index folder   the folder of the\n                       index, which is\n                       long\n  -h, --help           help\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := filled("One two three\nfour five.\n\nOne two\nthree.\n\n  a    what a is\n", 12), "One two\nthree four\nfive.\n\nOne two\nthree.\n\n  a    what\n       a is\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
