package proposal

import (
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/diff"
	"github.com/mainstay-dev/mainstay/spec"
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
	if old == content && had != f.Remove {
		return "", nil
	}
	body, err := diff.Unified(old, content)
	return header + body, err
}

// Sentence describes a proposal in one sentence.
func Sentence(p spec.Proposal) string {
	p = Clean(p)
	title := strings.TrimRight(p.Title, ".")
	if p.Action.IsUndo() {
		return fmt.Sprintf("Something failed in a run of %s, and this would undo a part of it, once: %s.", p.Agent, title)
	}
	if p.Kind == spec.ProposalAction {
		return fmt.Sprintf("%s asks to do this once: %s.", p.Agent, title)
	}
	if p.Kind == spec.ProposalRollback {
		return title + "."
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
