package spec

import (
	"fmt"
	"slices"
	"strings"
)

// absent reports that something is missing which is of a kind. If a file that may declare it cannot be read, that file's
// problem is the one to mend, and this one is not shown; see dropConsequences.
func (l *loader) absent(n *node, kind Kind, hint, format string, args ...any) {
	l.add(Problem{Place: n.place(), Severity: SeverityError, Summary: fmt.Sprintf(format, args...), Hint: hint, of: kind})
}

// dropConsequences removes what is only said because a file declares nothing that has an error: one bracket too many would
// be told once, and then again wherever one of that file's resources is named.
func (l *loader) dropConsequences() {
	if !slices.ContainsFunc(l.problems, func(p Problem) bool { return p.of != "" }) {
		return
	}
	declaring := map[string]bool{}
	for _, d := range l.documents {
		declaring[d.file.path] = true
	}
	for _, s := range l.skillList {
		declaring[s.Place.File] = true
	}
	unread := map[Kind]bool{}
	for _, p := range l.problems {
		if p.Severity == SeverityError && p.of == "" && !declaring[p.File] {
			unread[kindIn(p.File)] = true
		}
	}
	l.problems = slices.DeleteFunc(l.problems, func(p Problem) bool { return p.of != "" && unread[p.of] })
}

// kindIn is the kind that a file is there to declare, by its folder; "" where any may be, or none.
func kindIn(file string) Kind {
	switch top, _, _ := strings.Cut(file, "/"); top {
	case rootFile:
		return KindFleet
	case "skills", ".agents":
		return KindSkill
	default:
		return folderKinds[top]
	}
}
