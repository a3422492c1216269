package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxHistory bounds the commits of the branch.
	maxHistory = 1_000_000
	// maxAction bounds the file of an Action, in bytes.
	maxAction = 4 << 20
)

// branch is what the history of the branch says: which files of Actions came in, how, and whose keys counted then.
type branch struct {
	o        Options
	judge    execute.Judge
	declared *execute.Declarations
	allowed  *execute.Allowances
	rootFile string
	trust    *execute.Trust
	since    string // the first commit that pins a ledger
	wrong    []Problem

	files map[string]*file // by path
	order []*file          // as they came
	roots map[string]root  // what mainstay.yaml says, by the id of its object

	ids     []string       // the commits of the branch, the newest first
	counted []countedSince // who counted, the oldest first
	direct  map[spec.Revision]*allowing
}

// countedSince is who counted from a commit on, the n-th of the branch from its first.
type countedSince struct {
	n     int
	fleet *spec.Fleet
}

// file is a path beneath actions/ with all that ever was there.
type file struct {
	path     string
	versions []version // oldest first
	present  bool      // at the tip
}

func (f *file) last() *version { return &f.versions[len(f.versions)-1] }

// version is a file as one commit left it.
type version struct {
	merge  string
	when   time.Time
	digest spec.Digest
	action *spec.Action // nil where it is none
	execute.Verdict
}

// root is a mainstay.yaml that was read.
type root struct {
	fleet *spec.Fleet
	err   error
}

func newBranch(o Options) *branch {
	b := &branch{
		o: o, rootFile: path.Join(o.Path, "mainstay.yaml"), trust: execute.NewTrust(nil),
		files: map[string]*file{}, roots: map[string]root{},
		declared: &execute.Declarations{History: o.History, Path: o.Path, Jsonnet: o.Jsonnet, Every: true},
		allowed:  &execute.Allowances{History: o.History, Branch: o.Branch, Path: o.Path},
		direct:   map[spec.Revision]*allowing{},
	}
	b.judge = execute.Judge{History: o.History, Branch: o.Branch, Path: o.Path, FleetAt: b.fleetAt, DeclaredAt: b.declared.At}
	return b
}

// walk goes through the branch once, from its first commit to its tip, and looks only at what has changed.
func (b *branch) walk(ctx context.Context, withActions bool) error {
	var ids []string
	for c, err := range b.o.History.FirstParents(b.o.Tip) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if ids = append(ids, c.ID); len(ids) > maxHistory {
			return fmt.Errorf("it has more than %d commits", maxHistory)
		}
	}
	b.ids = ids
	var before *remote.Snapshot
	var rootBefore, folderBefore string
	for i, id := range slices.Backward(ids) {
		tree, err := b.o.History.Snapshot(id)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		root, err := objectAt(tree, b.rootFile)
		if err != nil {
			return err
		}
		folder, err := objectAt(tree, path.Join(b.o.Path, "actions"))
		if err != nil {
			return err
		}
		if withActions && folder != folderBefore { // Before mainstay.yaml: what counts for a merge was listed before it.
			if err := b.actions(ctx, id, before, tree); err != nil {
				return err
			}
		}
		if root != rootBefore {
			if err := b.follow(id, root); err != nil {
				return err
			}
			b.counted = append(b.counted, countedSince{len(ids) - 1 - i, b.trust.Fleet})
		}
		before, rootBefore, folderBefore = tree, root, folder
	}
	if r, ok := b.roots[rootBefore]; ok && r.err != nil {
		b.wrong = append(b.wrong, Problem{File: b.rootFile, What: r.err.Error(), Do: "mend it; who counted before still counts"})
	}
	return nil
}

// follow takes over what a commit made of mainstay.yaml.
func (b *branch) follow(id, object string) error {
	fleet, err := b.fleetAt(id)
	if errors.Is(err, remote.ErrMissing) {
		return err
	}
	if err != nil || object == "" || (b.since == "" && fleet.Ledger == nil) {
		return nil //nolint:nilerr // A broken mainstay.yaml is never what runs.
	}
	if b.since == "" {
		b.since = id
	}
	if len(b.o.Approvers) > 0 {
		fleet = &spec.Fleet{Approvers: b.o.Approvers, Ledger: fleet.Ledger}
	}
	c, err := b.o.History.Commit(id)
	if err != nil {
		return err
	}
	b.trust.Step(c, fleet)
	return nil
}

// fleetAt reads mainstay.yaml at a commit, each content once.
func (b *branch) fleetAt(commit string) (*spec.Fleet, error) {
	tree, err := b.o.History.Snapshot(commit)
	if err != nil {
		return nil, err
	}
	object, err := objectAt(tree, b.rootFile)
	if err != nil {
		return nil, err
	}
	if known, ok := b.roots[object]; ok {
		return known.fleet, known.err
	}
	var r root
	if _, err := tree.ReadFile(b.rootFile); errors.Is(err, remote.ErrMissing) {
		return nil, err
	}
	if within, err := fs.Sub(tree, path.Join(".", b.o.Path)); err != nil {
		r.err = err
	} else {
		var problems spec.Problems
		r.fleet, problems = spec.LoadRoot(within)
		r.err = problems.Err()
	}
	b.roots[object] = r
	return r.fleet, r.err
}

// actions takes over what a commit made of the folder of Actions.
func (b *branch) actions(ctx context.Context, id string, before, after *remote.Snapshot) error {
	folder := path.Join(b.o.Path, "actions")
	from, err := within(before, folder)
	if err != nil {
		return err
	}
	to, err := within(after, folder)
	if err != nil {
		return err
	}
	if to == nil {
		for _, f := range b.files {
			f.present = false
		}
		return nil
	}
	changes, err := remote.Differences(ctx, from, to)
	if err != nil {
		return err
	}
	c, err := b.o.History.Commit(id)
	if err != nil {
		return err
	}
	for _, change := range changes {
		name := path.Join(folder, change.Path)
		f := b.files[name]
		if f == nil {
			f = &file{path: name}
			b.files[name] = f
			b.order = append(b.order, f)
		}
		f.present = change.After != ""
		if !f.present || change.Before == change.After {
			continue
		}
		v, err := b.version(f, c, after, change)
		if err != nil {
			return err
		}
		f.versions = append(f.versions, v)
	}
	return nil
}

// version judges what a commit has made of a file.
func (b *branch) version(f *file, c remote.Commit, tree *remote.Snapshot, change remote.Difference) (version, error) {
	v := version{merge: c.ID, when: c.When}
	content, err := tree.ReadFile(f.path)
	if errors.Is(err, remote.ErrMissing) {
		return v, err
	}
	if err == nil {
		v.digest = spec.DigestBytes(content)
		v.action, err = parseAction(content)
	}
	switch {
	case err != nil:
		v.Refused = fmt.Sprintf("commit %s by %s brought in what is no Action: %v", c.ID[:7], c.Author, err)
	case change.Before != "":
		v.Refused = execute.Changed(f.path, c)
	default:
		v.Verdict, err = b.judged(f, v, c, change.After, b.trust.Fleet)
		return v, err
	}
	return v, nil
}

// judged asks the judge of the executors, with those who count.
func (b *branch) judged(f *file, v version, c remote.Commit, object string, counts *spec.Fleet) (execute.Verdict, error) {
	if counts == nil || counts.Ledger == nil {
		return execute.Verdict{Refused: fmt.Sprintf("when commit %s by %s brought it in, mainstay.yaml pinned no ledger", c.ID[:7], c.Author)}, nil
	}
	verdict, err := b.judge.Merged(execute.Work{Action: v.action, Trusted: counts}, f.path, c, object)
	if err != nil && !errors.Is(err, remote.ErrMissing) {
		return execute.Verdict{Refused: err.Error()}, nil
	}
	return verdict, err
}

// parseAction reads what an Action's file says, as the loader does with more checks.
func parseAction(content []byte) (*spec.Action, error) {
	if len(content) > maxAction {
		return nil, fmt.Errorf("it has %d bytes, and the limit is %d", len(content), maxAction)
	}
	var f struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec spec.ActionSpec `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &f); err != nil {
		return nil, err
	}
	if f.Kind != string(spec.KindAction) {
		return nil, fmt.Errorf("its kind is %q", f.Kind)
	}
	a := &spec.Action{ID: spec.ActionID(f.Metadata.Name), Spec: f.Spec}
	a.Digest = spec.DigestBytes(content)
	a.Expires, _ = time.Parse(time.RFC3339, f.Spec.Expires) // One that cannot be read has expired.
	return a, nil
}

// objectAt returns the id of what is at a path, or "" where nothing is.
func objectAt(tree *remote.Snapshot, name string) (string, error) {
	info, err := tree.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, _ := info.Sys().(string)
	return id, nil
}

// within returns a folder, or nil where there is none.
func within(tree *remote.Snapshot, folder string) (*remote.Snapshot, error) {
	if tree == nil {
		return nil, nil
	}
	info, err := tree.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !info.IsDir()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sub, err := tree.Sub(folder)
	if err != nil {
		return nil, err
	}
	return sub.(*remote.Snapshot), nil
}
