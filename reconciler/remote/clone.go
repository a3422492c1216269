package remote

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Clone is a repository on this machine in which a person works. It is only read, from its objects and not from its files.
// Its methods may be called concurrently.
type Clone struct {
	repo   *git.Repository
	top    string
	mu     sync.Mutex // go-git's storage is not safe for concurrent use
	reader reader
}

// ErrNoClone means that a folder is in no clone.
var ErrNoClone = errors.New("the folder is in no Git repository")

// OpenClone opens the repository whose working tree holds dir, or what dir is a symbolic link to. The error has [ErrNoClone]
// where there is none.
func OpenClone(dir string) (*Clone, error) {
	if abs, err := filepath.Abs(dir); err == nil {
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			dir = real
		}
	}
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoClone)
	}
	if err != nil {
		return nil, fmt.Errorf("open the repository of %s: %w", dir, err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		return nil, fmt.Errorf("open the repository of %s: %w", dir, err)
	}
	storage, ok := repo.Storer.(*filesystem.Storage)
	if !ok {
		return nil, fmt.Errorf("open the repository of %s: it is not in files", dir)
	}
	return openObjects(storage.Filesystem(), tree.Filesystem.Root())
}

// OpenStore opens the store of a [Remote] to read from it, which may be open for writing elsewhere. It has no working tree.
// What is read while that one tidies up may be missing.
func OpenStore(dir string) (*Clone, error) {
	if _, err := os.Stat(filepath.Join(dir, "objects")); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoClone)
	}
	return openObjects(osfs.New(dir), dir)
}

// openObjects opens the repository in a folder .git. Objects are found too that it borrows from another one on this machine,
// as clones made with --shared or --reference do.
func openObjects(dotGit billy.Filesystem, top string) (*Clone, error) {
	repo, err := git.Open(filesystem.NewStorageWithOptions(dotGit, cache.NewObjectLRUDefault(), filesystem.Options{AlternatesFS: osfs.New("/"), KeepDescriptors: true}), nil)
	if err != nil {
		return nil, fmt.Errorf("open the repository of %s: %w", top, err)
	}
	c := &Clone{repo: repo, top: top}
	c.reader = reader{objects: c, trees: newTreeCache(), raw: &rawTrees{}, maxFile: 16 << 20}
	return c, nil
}

// Top is the folder of the working tree.
func (c *Clone) Top() string { return c.top }

// Within is the path of a folder of this machine from the top of the working tree, with slashes.
func (c *Clone) Within(dir string) (string, error) {
	var real [2]string
	for i, path := range []string{c.top, dir} {
		abs, err := filepath.Abs(path)
		if err == nil {
			real[i], err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			return "", fmt.Errorf("find %s: %w", path, err)
		}
	}
	within, err := filepath.Rel(real[0], real[1])
	if err != nil || !filepath.IsLocal(within) {
		return "", fmt.Errorf("%s is not in the working tree %s", dir, c.top)
	}
	return filepath.ToSlash(within), nil
}

// Resolve returns the id of the commit that a revision names, as gitrevisions(7) says: a branch, origin/main, a tag,
// HEAD~1, an id or the beginning of one. The name of a branch or a tag comes before the beginning of an id, and may hold @.
// The error has [ErrMissing] where there is none.
func (c *Clone) Resolve(revision string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	exact := revision
	if end := strings.IndexAny(revision, "~^"); end >= 0 {
		exact = revision[:end]
	}
	if h, ok := c.named(exact); ok {
		exact = h.String() + revision[len(exact):]
	} else {
		exact = revision
	}
	h, err := c.repo.ResolveRevision(plumbing.Revision(exact))
	if err != nil {
		return "", fmt.Errorf("%q in %s: %w: %w", revision, c.top, ErrMissing, err)
	}
	return h.String(), nil
}

// named is what the reference points to that has a name, in full or in short, by the rules of gitrevisions(7).
func (c *Clone) named(name string) (plumbing.Hash, bool) {
	if plumbing.IsHash(name) {
		return plumbing.ZeroHash, false // A full id is no name.
	}
	for _, rule := range plumbing.RefRevParseRules {
		full := plumbing.ReferenceName(fmt.Sprintf(rule, name))
		if full.Validate() != nil || !strings.HasPrefix(full.String(), "refs/") {
			continue
		}
		if ref, err := storer.ResolveReference(c.repo.Storer, full); err == nil {
			return ref.Hash(), true
		}
	}
	return plumbing.ZeroHash, false
}

// Commit reads a commit. The error has [ErrMissing] if it is not there.
func (c *Clone) Commit(id string) (Commit, error) {
	h, err := parseID(id)
	if err != nil {
		return Commit{}, err
	}
	raw, err := c.need(plumbing.CommitObject, h)
	if err != nil {
		return Commit{}, err
	}
	commit, err := parseCommit(raw)
	if err != nil {
		return Commit{}, fmt.Errorf("commit %s: %w", id, err)
	}
	commit.ID = id
	return commit, nil
}

// FirstParents yields a commit and then always the first parent of the last one, as [Remote.FirstParents] does.
func (c *Clone) FirstParents(from string) iter.Seq2[Commit, error] {
	return firstParents(c.Commit, from)
}

// Snapshot returns the file tree of a commit. The error has [ErrMissing] if it is not there.
func (c *Clone) Snapshot(commit string) (*Snapshot, error) {
	parsed, err := c.Commit(commit)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{r: &c.reader, root: plumbing.NewHash(parsed.Tree), when: parsed.When}
	if _, err := c.reader.tree(s.root); err != nil {
		return nil, fmt.Errorf("commit %s: %w", commit, err)
	}
	return s, nil
}

// need returns an object. Whoever has handed over the folder can have put anything into its files, so that the content is
// compared with the id.
func (c *Clone) need(want plumbing.ObjectType, h plumbing.Hash) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, err := c.repo.Storer.EncodedObject(want, h)
	if err != nil {
		return nil, c.missing(h, err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, c.missing(h, err)
	}
	b := make([]byte, o.Size())
	_, err = io.ReadFull(r, b)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, c.missing(h, err)
	}
	if plumbing.ComputeHash(want, b) != h {
		return nil, fmt.Errorf("object %s of %s is damaged: its content is not what its id says; clone the repository anew", h, c.top)
	}
	return b, nil
}

func (c *Clone) sizeOf(h plumbing.Hash) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size, err := c.repo.Storer.EncodedObjectSize(h); err == nil {
		return size, nil
	}
	o, err := c.repo.Storer.EncodedObject(plumbing.AnyObject, h) // It looks into borrowed objects, and the other does not.
	if err != nil {
		return 0, c.missing(h, err)
	}
	return o.Size(), nil
}

func (c *Clone) missing(h plumbing.Hash, err error) error {
	return fmt.Errorf("object %s of %s: %w: %w; if the clone is a shallow or partial one, fetch the rest", h, c.top, ErrMissing, err)
}
