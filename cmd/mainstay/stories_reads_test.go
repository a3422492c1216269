package main

import (
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// placeholders stand in a story for what is another one each time.
var placeholders = strings.NewReplacer(
	`\{run\}`, `[0-9a-z]{26}`, `\{key\}`, `[0-9a-f]{16}`, `\{digest\}`, `[0-9a-f]{12}`, `\{commit\}`, `[0-9a-f]{40}`,
	`\{short\}`, `[0-9a-f]{7}`, `\{time\}`, `(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d`, `\{day\}`, `\d{4}-\d\d-\d\d`, `\{walls\}`, `[a-z0-9+-]+`,
	// How long something took is told from a millisecond on. What follows is of the same length, or on the next line.
	`\{, took\}`, `(, [0-9.]+m?s)?`, `\{long\}`, `[0-9.hm]+s`, `\{blank\}`, ``,
)

// reads is `reads OUTPUT FILE`: a text is that of a file, in which {time}, {run} and so on stand for what differs.
func reads(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "reads OUTPUT FILE")
	got := strings.Split(ts.ReadFile(args[0]), "\n")
	want := strings.Split(ts.ReadFile(args[1]), "\n")
	for i, l := range want {
		pattern := regexp.MustCompile("^" + placeholders.Replace(regexp.QuoteMeta(l)) + "$")
		if i >= len(got) || !pattern.MatchString(got[i]) {
			line := "nothing"
			if i < len(got) {
				line = got[i]
			}
			ts.Fatalf("line %d is\n%s\nand should be\n%s\nin\n%s", i+1, line, l, strings.Join(got, "\n"))
		}
	}
	if len(got) != len(want) {
		ts.Fatalf("there are %d lines more than in %s:\n%s", len(got)-len(want), args[1], strings.Join(got, "\n"))
	}
}
