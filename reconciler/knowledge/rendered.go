package knowledge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/kb/ingest"
	"github.com/mainstay-dev/mainstay/kb/render"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxShapes is for how many commits and sources it is kept which files are shaped by what is rendered.
const maxShapes = 16

// shapes are the charts and kustomizations of a commit, by the files that they shape.
type shapes map[string]*render.Unit

// put adds to the blob of a file what shapes its document.
func (s shapes) put(files []kb.File) {
	for i := range files {
		if u := s[files[i].Path]; u != nil {
			files[i].Blob += " " + u.Digest
		}
	}
}

// digest is that of what shapes a file; "" where nothing does.
func (s shapes) digest(name string) string {
	if u := s[name]; u != nil {
		return u.Digest
	}
	return ""
}

// differing are the files that other units shape, sorted.
func (s shapes) differing(from shapes) []string {
	var names []string
	for _, all := range []shapes{s, from} {
		for name := range all {
			if s.digest(name) != from.digest(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// shapesOf finds what is rendered of a commit for a source.
func (k *Keeper) shapesOf(ctx context.Context, files *remote.Snapshot, commit string, source *spec.KnowledgeSource) (shapes, error) {
	if k.opts.Render == nil {
		return nil, nil
	}
	key := commit + " " + string(source.Digest)
	if s, ok := k.shaped.Get(key); ok {
		return s, nil
	}
	selection := selectionOf(source)
	units, err := k.finder.Units(ctx, tree{files}, func(name string) bool { return selects(selection, name) }, func(name string) bool { return !excludes(selection, name) })
	if err != nil {
		return nil, err
	}
	s := shapes{}
	for i := range units {
		for _, name := range units[i].Shapes {
			if selects(selection, name) {
				s[name] = &units[i]
			}
		}
	}
	k.shaped.Add(key, s)
	return s, nil
}

// selectionOf are the files of a source that is no site.
func selectionOf(source *spec.KnowledgeSource) spec.KnowledgeFiles {
	if source.Spec.Files != nil {
		return *source.Spec.Files
	}
	return source.Spec.Git.KnowledgeFiles
}

// tree is a commit as charts and kustomizations see it: what may hold keys is empty, and so is what is too large to be read.
type tree struct{ files *remote.Snapshot }

func (t tree) ReadDir(name string) ([]fs.DirEntry, error) { return t.files.ReadDir(name) }

func (t tree) ReadFile(name string) ([]byte, error) {
	if ingest.MayHoldKeys(name) {
		return nil, nil
	}
	content, err := t.files.ReadFile(name)
	if errors.Is(err, remote.ErrTooLarge) {
		return nil, nil
	}
	return content, err
}

// renderer renders what is asked for of one commit. Close it.
type renderer struct {
	files   *remote.Snapshot
	shapes  shapes
	session *render.Session
	// made is what was rendered last: the files of a unit are read one after the other.
	made map[string]*made
}

// maxMade is how many units' outputs are kept.
const maxMade = 4

// made is what a unit renders to, and of which files.
type made struct {
	render.Output
	files map[string][]byte
	// secrets and known are there when they are asked for first.
	secrets *[]string
	known   *[]graph.Facts
}

// leftOut are the values that are left out of the documents of what is rendered.
func (m *made) leftOut() []string {
	if m.secrets == nil {
		var objects []kb.Rendered
		for _, name := range slices.Sorted(maps.Keys(m.Objects)) {
			objects = append(objects, m.Objects[name]...)
		}
		secrets := ingest.Secrets(m.files, objects)
		m.secrets = &secrets
	}
	return *m.secrets
}

// written is what the files declare by themselves.
func (m *made) written() []graph.Facts {
	if m.known == nil {
		var known []graph.Facts
		for _, name := range slices.Sorted(maps.Keys(m.files)) {
			known = append(known, graph.Extract(name, m.files[name]))
		}
		m.known = &known
	}
	return *m.known
}

func (k *Keeper) renderer(files *remote.Snapshot, s shapes) *renderer {
	r := &renderer{files: files, shapes: s, made: map[string]*made{}}
	if k.opts.Render != nil {
		r.session = k.opts.Render.Open()
	}
	return r
}

func (r *renderer) close() {
	if r.session != nil {
		r.session.Close()
	}
}

// of is what shapes a file; nil where nothing does.
func (r *renderer) of(ctx context.Context, name string) (*made, error) {
	u := r.shapes[name]
	if u == nil {
		return nil, nil
	}
	if m := r.made[u.Digest]; m != nil {
		return m, nil
	}
	files, err := u.Files(tree{r.files})
	if err != nil {
		return nil, unavailable{err}
	}
	out, err := r.session.Render(ctx, u, files)
	if err != nil {
		return nil, err
	}
	m := &made{Output: out, files: files}
	if len(r.made) == maxMade {
		clear(r.made)
	}
	r.made[u.Digest] = m
	return m, nil
}

// problemOf is what is wrong with the unit whose head a file is. What it lacks is right, and is not corrected.
func (r *renderer) problemOf(m *made, name string) string {
	if len(m.Problems)+len(m.Lacks) == 0 || r.shapes[name].Head != name {
		return ""
	}
	hint := "correct it, or leave it out with exclude"
	switch {
	case len(m.Problems) == 0:
		hint = "vendor what is missing, or leave it out with exclude"
	case len(m.Lacks) > 0:
		hint = "correct it, vendor what is missing, or leave it out with exclude"
	}
	return fmt.Sprintf("what it renders to is not whole: %s (%s)", kb.Without(strings.Join(slices.Concat(m.Problems, m.Lacks), "; "), m.leftOut()), hint)
}
