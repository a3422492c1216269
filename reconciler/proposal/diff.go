package proposal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of a diff. What is larger is named and not shown.
const (
	maxDiffBytes = 512 << 10
	maxDiffLines = 5000
)

// Diff renders edits as a unified diff. Before returns a file's content at the base, and false where there is none. What
// a terminal would act on is shown as U+FFFD, so that an agent cannot hide a line from the reviewer.
func Diff(files []spec.FileEdit, before func(path string) (string, bool, error)) (string, error) {
	var out strings.Builder
	for _, f := range files {
		old, had, err := before(f.Path)
		if err != nil {
			return "", fmt.Errorf("diff of %s: %w", f.Path, err)
		}
		text, err := diffFile(f, old, had)
		if err != nil {
			return "", fmt.Errorf("diff of %s: %w", f.Path, err)
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

func diffFile(f spec.FileEdit, old string, had bool) (string, error) {
	from, to := "a/"+f.Path, "b/"+f.Path
	content := f.Content
	if !had {
		from = "/dev/null"
	}
	if f.Remove {
		to, content = "/dev/null", ""
	}
	header := spec.Visible(fmt.Sprintf("--- %s\n+++ %s\n", from, to))
	switch {
	case old == content && had != f.Remove:
		return "", nil
	case !isText(old) || !isText(content):
		return header + fmt.Sprintf("a binary file: %d bytes before, %d bytes after\n", len(old), len(content)), nil
	case tooLong(old) || tooLong(content):
		return header + fmt.Sprintf("too long to show: %d bytes before, %d bytes after\n", len(old), len(content)), nil
	}
	body, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines(old), B: lines(content), Context: 3})
	if err != nil {
		return "", err
	}
	return header + body, nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func tooLong(s string) bool { return len(s) > maxDiffBytes || strings.Count(s, "\n") > maxDiffLines }

// lines splits s as diff(1) does, and marks a last line that does not end.
func lines(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.SplitAfter(strings.TrimSuffix(s, "\n"), "\n")
	for i := range out {
		out[i] = spec.Visible(strings.ReplaceAll(out[i], "\r", "\uFFFD")) // Another line ending is a change too.
	}
	out[len(out)-1] += "\n"
	if !strings.HasSuffix(s, "\n") {
		out[len(out)-1] += "\\ No newline at end of file\n"
	}
	return out
}

// Sentence describes a proposal in one sentence.
func Sentence(p spec.Proposal) string {
	p = Clean(p)
	title := strings.TrimRight(p.Title, ".")
	if p.Kind == spec.ProposalAction {
		return fmt.Sprintf("%s asks to do this once: %s.", p.Agent, title)
	}
	if len(p.Files) == 0 {
		return fmt.Sprintf("%s asks to change nothing: %s.", p.Agent, title)
	}
	what := spec.Visible(p.Files[0].Path)
	if more := len(p.Files) - 1; more == 1 {
		what += " and 1 more file"
	} else if more > 1 {
		what += fmt.Sprintf(" and %d more files", more)
	}
	return fmt.Sprintf("%s asks to change %s: %s.", p.Agent, what, title)
}
