package proposal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of one proposal.
const (
	MaxFiles = 200
	MaxBytes = 4 << 20
)

// ActionPath is where an Action's file lies in the repository; root is the folder that holds mainstay.yaml.
func ActionPath(root string, id spec.ActionID) string {
	return path.Join(root, "actions", string(id)+".yaml")
}

// Check reports why p may not be opened, or nil. Root is the folder of the repository that holds mainstay.yaml, "" for
// the repository's root. A file change never touches Actions or [spec.Protected] files; an Action adds its own file and
// nothing else. Policy has been asked before; this is the same rule again, right before the push.
func Check(p spec.Proposal, root string) error {
	if err := checkOrigin(p); err != nil {
		return fmt.Errorf("proposal of %s: %w", p.Agent, err)
	}
	if len(p.Files) == 0 {
		return errors.New("a proposal changes at least one file: it is empty")
	}
	if len(p.Files) > MaxFiles {
		return fmt.Errorf("a proposal changes at most %d files: it has %d", MaxFiles, len(p.Files))
	}
	seen, size := map[string]bool{}, 0
	for _, f := range p.Files {
		if seen[f.Path] {
			return fmt.Errorf("%s: it is edited twice", f.Path)
		}
		seen[f.Path] = true
		size += len(f.Content)
		if f.Remove && f.Content != "" {
			return fmt.Errorf("%s: it is both written and removed", f.Path)
		}
		if p.Kind == spec.ProposalChange {
			if err := CheckChange(f.Path, root); err != nil {
				return err
			}
		}
		if p.Kind == spec.ProposalRollback && !isRolledBack(f.Path, root) {
			return fmt.Errorf("%s: a rollback brings back what is declared, and nothing else", f.Path)
		}
	}
	if size > MaxBytes {
		return fmt.Errorf("a proposal writes at most %d bytes: it has %d", MaxBytes, size)
	}
	if p.Kind == spec.ProposalAction {
		want := ActionPath(root, p.Action)
		if len(p.Files) != 1 || p.Files[0].Path != want || p.Files[0].Remove {
			return fmt.Errorf("an Action adds %s and nothing else", want)
		}
	}
	return nil
}

// isRolledBack reports whether a path of the repository is one that a rollback may change.
func isRolledBack(name, root string) bool {
	for _, of := range spec.RollbackPaths() {
		if at := path.Join(root, of); name == at || strings.HasPrefix(name, at+"/") {
			return true
		}
	}
	return false
}

// CheckChange reports why a file change may not touch a path of the repository, or nil. Names are compared without
// regard to case, as some file systems do.
func CheckChange(name, root string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%q is not a path in the repository", name)
	}
	first, _, _ := strings.Cut(strings.ToLower(name), "/")
	inside, isInside := name, true
	if root = path.Clean(root); root != "." {
		prefix := root + "/"
		isInside = len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
		if isInside {
			inside = name[len(prefix):]
		} else {
			inside = "outside/" + name // What is unsafe in any path is refused there too.
		}
	}
	folder, _, _ := strings.Cut(strings.ToLower(inside), "/")
	switch {
	case isInside && folder == "actions":
		return fmt.Errorf("%s: a file change never touches Actions: propose a tool call instead", name)
	case spec.Protected(inside), strings.HasPrefix(first, ".git"):
		return fmt.Errorf("%q: only people change this file: a proposal never touches it", name)
	}
	return nil
}
