package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The severities of problems.
const (
	// SeverityError keeps a revision from being used.
	SeverityError = "error"
	// SeverityWarning is worth a look and keeps nothing from working.
	SeverityWarning = "warning"
)

// Problem is one thing that is wrong in a revision, for people.
type Problem struct {
	Place
	// Severity is SeverityError or SeverityWarning.
	Severity string `json:"severity"`
	// Summary says what is wrong, in one line.
	Summary string `json:"summary"`
	// Hint says what to do, in one line. It may be empty.
	Hint string `json:"hint,omitempty"`

	// of is the kind of what is missing, where that is what is wrong.
	of Kind
}

// String returns the place as people and editors read it: `agents/triage.yaml:12:9`, without what is not known.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// String returns the problem in one line: `agents/triage.yaml:12:9: unknown skill "sumarize" (did you mean "summarize"?)`.
func (p Problem) String() string {
	var b strings.Builder
	if place := p.Place.String(); place != "" {
		b.WriteString(strings.ReplaceAll(Visible(place), "\n", "\uFFFD") + ": ")
	}
	if p.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Summary)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems are all that is wrong in a revision, sorted by place.
type Problems []Problem

// HasErrors reports whether one of the problems is an error.
func (p Problems) HasErrors() bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.Severity == SeverityError })
}

// Err returns the errors among the problems as one error, a line for each, or nil where there are only warnings.
func (p Problems) Err() error {
	var errs []error
	for _, one := range p {
		if one.Severity == SeverityError {
			errs = append(errs, errors.New(one.String()))
		}
	}
	return errors.Join(errs...)
}

// String returns all problems, a line for each.
func (p Problems) String() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Summary, b.Summary))
	})
}
