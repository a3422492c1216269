package knowledge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
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
	r, err := j.filled(ctx, history, commit, selection, &u)
	if err != nil {
		return unavailable{err}
	}
	defer r.close()
	if err := j.write(ctx, u); err != nil {
		return err
	}
	j.locate(history, commit)
	return nil
}

// filled adds the files to an update, and returns what renders some of them.
func (j *job) filled(ctx context.Context, history History, commit string, selection spec.KnowledgeFiles, u *kb.Update) (*renderer, error) {
	to, err := history.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	shaped, err := j.shapesOf(ctx, to, commit, j.source)
	if err != nil {
		return nil, err
	}
	r := j.renderer(to, shaped)
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) { return j.file(ctx, r, f.Path) }
	err = remote.ErrTooLarge
	again := false
	if from := j.before(history); from != nil {
		u.From = j.was
		if err = differing(ctx, from, to, selection, u); err == nil {
			again, err = j.reshaped(ctx, j.source, commitOf(j.was), from, to, shaped, u)
		}
	}
	if errors.Is(err, remote.ErrTooLarge) { // There is nothing to compare with, or too much differs.
		u.From, u.Put, u.Removed, again = "", nil, nil, j.was != ""
		u.Put, err = listed(to, selection)
	}
	if err != nil {
		return nil, err
	}
	if len(u.Put) > maxFiles {
		return nil, fmt.Errorf("it has %d files, and at most %d are read: write less under include in %s", len(u.Put), maxFiles, j.source.Place.File)
	}
	undated, err := j.undated(ctx, u, again)
	if err != nil {
		return nil, err
	}
	if err := dated(ctx, history, commit, commitOf(u.From), undated); err != nil {
		return nil, err
	}
	shaped.put(u.Put)
	return r, nil
}

// reshaped adds to an update of a source from a commit the files that are the same and that something else shapes now, and reports whether
// there are any.
func (k *Keeper) reshaped(ctx context.Context, source *spec.KnowledgeSource, was string, from, to *remote.Snapshot, shaped shapes, u *kb.Update) (bool, error) {
	then, err := k.shapesOf(ctx, from, was, source)
	if err != nil {
		return false, err
	}
	added := false
	differ := map[string]bool{}
	for _, f := range u.Put {
		differ[f.Path] = true
	}
	for _, name := range u.Removed {
		differ[name] = true
	}
	for _, name := range shaped.differing(then) {
		if differ[name] {
			continue
		}
		info, err := to.Lstat(name)
		if err != nil {
			return false, err
		}
		id, _ := info.Sys().(string)
		u.Put = append(u.Put, kb.File{Path: name, Blob: blob(id, name)})
		added = true
	}
	slices.SortFunc(u.Put, byPath)
	return added, nil
}

func byPath(a, b kb.File) int { return strings.Compare(a.Path, b.Path) }

// undated gives the files that the engine holds already the times that it has for them, and returns the others. again says whether there may
// be any.
func (j *job) undated(ctx context.Context, u *kb.Update, again bool) ([]*kb.File, error) {
	when := map[string]kb.File{}
	if again {
		known, err := j.engine.Files(ctx, j.source.Name)
		if err != nil {
			return nil, indexError{err}
		}
		for _, f := range known {
			when[f.Path] = f
		}
	}
	var undated []*kb.File
	for i := range u.Put {
		f := &u.Put[i]
		if known := when[f.Path]; (known.Blob == f.Blob || strings.HasPrefix(known.Blob, f.Blob+" ")) && !known.Time.IsZero() {
			f.Time = known.Time
			continue
		}
		undated = append(undated, f)
	}
	return undated, nil
}

// blob identifies a file's document, which its name shapes too: the same bytes are another one as README.md than as README.txt.
func blob(id, name string) string { return id + " " + path.Base(name) }

// before is what the engine has of the source; nil where that is nothing, or the source was declared or read in another way.
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
			u.Put = append(u.Put, kb.File{Path: d.Path, Blob: blob(d.After, d.Path)})
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
			files = append(files, kb.File{Path: name, Blob: blob(named.ID(), name)})
			if len(files) > maxFiles {
				return fs.SkipAll
			}
			return nil
		}, doublestar.WithNoFollow(), doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.SkipAll) {
			return nil, err
		}
	}
	slices.SortFunc(files, byPath)
	return files, nil
}

// Unmatched are the globs under include of a source, in their order, that match nothing it reads among the files of its repository. A
// source that is a site or past runs has none.
func Unmatched(files fs.FS, source *spec.KnowledgeSource) ([]string, error) {
	if source.Spec.Files == nil && source.Spec.Git == nil {
		return nil, nil
	}
	var unmatched []string
	selection := selectionOf(source)
	for _, glob := range selection.Include {
		found := false
		err := doublestar.GlobWalk(files, glob, func(name string, d fs.DirEntry) error {
			if !d.Type().IsRegular() || !selects(selection, name) {
				return nil
			}
			found = true
			return fs.SkipAll
		}, doublestar.WithNoFollow(), doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.SkipAll) {
			return nil, err
		}
		if !found {
			unmatched = append(unmatched, glob)
		}
	}
	return unmatched, nil
}

// Unmatched is [Unmatched] of a source as it was brought last; nothing where it never was.
func (k *Keeper) Unmatched(source *spec.KnowledgeSource) ([]string, error) {
	k.mu.Lock()
	at, ok := k.located[source.Name]
	k.mu.Unlock()
	if !ok {
		return nil, nil
	}
	files, err := at.history.Snapshot(at.commit)
	if err != nil {
		return nil, err
	}
	return Unmatched(files, source)
}

type identified string

func (i identified) ID() string { return string(i) }

// selects reports whether a source holds the file.
func selects(s spec.KnowledgeFiles, name string) bool {
	return matches(s.Include, name) && !excludes(s, name) && ingest.Skip(name) == ""
}

// excludes reports whether a source says that the file is not read.
func excludes(s spec.KnowledgeFiles, name string) bool { return matches(s.Exclude, name) }

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		is, _ := doublestar.Match(glob, name) // Package spec has checked the globs.
		return is
	})
}

// file reads one file.
func (j *job) file(ctx context.Context, r *renderer, name string) (kb.Document, error) {
	content, err := r.files.ReadFile(name)
	if errors.Is(err, remote.ErrTooLarge) {
		is := err
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			is = at.Err // Whoever tells the problem names the file.
		}
		return kb.Document{Problem: fmt.Sprintf("it is %v (split it, or leave it out with exclude)", is)}, nil
	}
	if err != nil {
		return kb.Document{}, unavailable{err}
	}
	m, err := r.of(ctx, name)
	if err != nil {
		return kb.Document{}, err
	}
	if m == nil {
		return j.document(ctx, name, content)
	}
	var secrets []string
	if len(m.Objects[name]) > 0 {
		secrets = m.leftOut()
	}
	d, err := asDocument(ingest.ReadRendered(ctx, name, content, m.Objects[name], secrets, j.cut()))
	if d.Problem == "" {
		d.Problem = r.problemOf(m, name)
	}
	return d, err
}

// dated notes when files were changed last, as far as the newest commits tell: those down to, and without, one that is known, or as far
// as a shallow clone goes.
func dated(ctx context.Context, history History, commit, known string, files []*kb.File) error {
	err := datedBy(ctx, history, commit, known, files)
	if errors.Is(err, remote.ErrMissing) || errors.Is(err, remote.ErrTooLarge) {
		return nil
	}
	return err
}

func datedBy(ctx context.Context, history History, commit, known string, files []*kb.File) error {
	if len(files) == 0 {
		return nil
	}
	left := make(map[string]*kb.File, len(files))
	for _, f := range files {
		left[f.Path] = f
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
