package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxGlobs is how many globs of a source a person is told of.
const maxGlobs = 5

// unmatched says of globs of a source, for people, that they match nothing; "" where there are none.
func unmatched(s *spec.KnowledgeSource, globs []string) string {
	if len(globs) == 0 {
		return ""
	}
	var quoted []string
	for _, g := range globs[:min(len(globs), maxGlobs)] {
		quoted = append(quoted, fmt.Sprintf("%q", g))
	}
	text, field, matches := strings.Join(quoted, ", "), "files", "match"
	if more := len(globs) - maxGlobs; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if s.Spec.Git != nil {
		field = "git"
	}
	if len(globs) == 1 {
		matches = "matches"
	}
	return fmt.Sprintf("%s: spec.%s.include of %s: %s %s no file that is read: globs are over paths from the root of the repository, such as docs/**", s.Place.File, field, s.Name, text, matches)
}

// unmatchedHere are those of the sources that read files of this repository.
func unmatchedHere(fleet *spec.Fleet, files fs.FS) ([]string, error) {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fleet.Knowledge)) {
		s := fleet.Knowledge[name]
		if s.Spec.Files == nil {
			continue
		}
		globs, err := knowledge.Unmatched(files, s)
		if err != nil {
			return nil, err
		}
		if text := unmatched(s, globs); text != "" {
			all = append(all, text)
		}
	}
	return all, nil
}

// noteGlobs notes which globs of sources match nothing of what is declared: in the working tree, where a folder is. Where that cannot be
// told, nothing is said.
func (p *planner) noteGlobs() {
	d := p.declared
	if len(d.fleet.Knowledge) == 0 {
		return
	}
	var files fs.FS
	if d.remote != nil {
		snapshot, err := d.remote.Snapshot(d.seen.Commit.ID)
		if err != nil {
			return
		}
		files = snapshot
	} else {
		clone, err := remote.OpenClone(d.dir)
		if err != nil {
			return
		}
		root, err := os.OpenRoot(clone.Top())
		if err != nil {
			return
		}
		defer root.Close()
		files = root.FS()
	}
	all, err := unmatchedHere(d.fleet, files)
	if err != nil {
		return
	}
	for _, text := range all {
		p.note("%s", text)
	}
}
