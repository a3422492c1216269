package knowledge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/ingest"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxFiles bounds the files of a source.
	maxFiles = 200_000
	// maxHistory is how many commits are looked at to tell when files were changed last.
	maxHistory = 300
)

// commit brings the source to the files of a commit. It costs what differs from the commit that the engine has, where that is known
// and the source is declared as it was then.
func (j *job) commit(ctx context.Context, history History, commit string, selection spec.KnowledgeFiles) error {
	u := j.update(commit)
	if j.was == u.To {
		j.locate(history, commit)
		return nil
	}
	to, err := history.Snapshot(commit)
	if err != nil {
		return err
	}
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) { return j.file(ctx, to, f.Path) }
	if from := j.before(history); from != nil {
		u.From = j.was
		err = differing(ctx, from, to, selection, &u)
	} else {
		u.Put, err = listed(to, selection)
	}
	if err != nil {
		return err
	}
	if len(u.Put) > maxFiles {
		return fmt.Errorf("it has %d files, and at most %d are read: write less under include in %s", len(u.Put), maxFiles, j.source.Place.File)
	}
	if err := dated(ctx, history, commit, commitOf(u.From), u.Put); err != nil {
		return err
	}
	if err := j.engine.Update(ctx, u); err != nil {
		return err
	}
	j.locate(history, commit)
	return nil
}

// before is what the engine has of the source; nil where that is nothing, or the source was declared in another way.
func (j *job) before(history History) *remote.Snapshot {
	if j.was == "" || j.was != j.selected(commitOf(j.was)) {
		return nil
	}
	from, err := history.Snapshot(commitOf(j.was))
	if err != nil {
		return nil // It may be gone after a force-push. All is listed then.
	}
	return from
}

// differing makes an update of what differs.
func differing(ctx context.Context, from, to *remote.Snapshot, selection spec.KnowledgeFiles, u *kb.Update) error {
	all, err := remote.Differences(ctx, from, to)
	if err != nil {
		return err
	}
	for _, d := range all {
		if !selects(selection, d.Path) {
			continue
		}
		info, err := to.Lstat(d.Path)
		switch {
		case err == nil && info.Mode().IsRegular():
			u.Put = append(u.Put, kb.File{Path: d.Path, Blob: d.After})
		case err == nil || errors.Is(err, fs.ErrNotExist):
			u.Removed = append(u.Removed, d.Path)
		default:
			return err
		}
	}
	return nil
}

// listed are all the files that there are, sorted by path.
func listed(to *remote.Snapshot, selection spec.KnowledgeFiles) (files []kb.File, err error) {
	seen := map[string]bool{}
	for _, glob := range selection.Include {
		err := doublestar.GlobWalk(to, glob, func(name string, d fs.DirEntry) error {
			if !d.Type().IsRegular() || seen[name] || !selects(selection, name) {
				return nil
			}
			named, ok := d.(interface{ ID() string })
			if !ok {
				info, err := d.Info()
				if err != nil {
					return err
				}
				id, _ := info.Sys().(string)
				named = identified(id)
			}
			seen[name] = true
			files = append(files, kb.File{Path: name, Blob: named.ID()})
			if len(files) > maxFiles {
				return fs.SkipAll
			}
			return nil
		}, doublestar.WithNoFollow(), doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.SkipAll) {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b kb.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

type identified string

func (i identified) ID() string { return string(i) }

// selects reports whether a source holds the file.
func selects(s spec.KnowledgeFiles, name string) bool {
	in := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(glob string) bool {
			matches, _ := doublestar.Match(glob, name) // Package spec has checked the globs.
			return matches
		})
	}
	return in(s.Include) && !in(s.Exclude) && ingest.Skip(name) == ""
}

// file reads one file.
func (j *job) file(ctx context.Context, files *remote.Snapshot, name string) (kb.Document, error) {
	content, err := files.ReadFile(name)
	if errors.Is(err, remote.ErrTooLarge) {
		return kb.Document{Problem: err.Error()}, nil
	}
	if err != nil {
		return kb.Document{}, err
	}
	return j.document(ctx, name, content)
}

// dated notes when files were changed last, as far as the newest commits tell: those down to, and without, one that is known.
func dated(ctx context.Context, history History, commit, known string, files []kb.File) error {
	if len(files) == 0 {
		return nil
	}
	left := make(map[string]*kb.File, len(files))
	for i := range files {
		left[files[i].Path] = &files[i]
	}
	note := func(paths []remote.Difference, when time.Time) {
		for _, d := range paths {
			if f := left[d.Path]; f != nil {
				f.Time = when.UTC()
				delete(left, d.Path)
			}
		}
	}
	var newer *remote.Snapshot
	var when time.Time
	n := 0
	for c, err := range history.FirstParents(commit) {
		if err != nil {
			return err
		}
		older, err := history.Snapshot(c.ID)
		if err != nil {
			return err
		}
		if newer != nil {
			d, err := remote.Differences(ctx, older, newer)
			if err != nil {
				return err
			}
			note(d, when)
		}
		newer, when = older, c.When
		if n++; len(left) == 0 || c.ID == known || n > maxHistory {
			return nil
		}
	}
	for _, f := range left { // The first commit there is has brought them.
		f.Time = when.UTC()
	}
	return nil
}
