package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// entry is one name in a tree.
type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

func (e entry) isTree() bool { return e.mode == filemode.Dir }

// id returns the id of the object, and "" for no entry.
func (e entry) id() string {
	if e.hash.IsZero() {
		return ""
	}
	return e.hash.String()
}

// same reports whether both stand for the same content in the same form.
func (e entry) same(o entry) bool { return e.mode == o.mode && e.hash == o.hash }

// fsMode is how the entry looks in a file system that is only read.
func (e entry) fsMode() fs.FileMode {
	switch e.mode {
	case filemode.Dir:
		return fs.ModeDir | 0o555
	case filemode.Symlink:
		return fs.ModeSymlink | 0o777
	case filemode.Submodule:
		return fs.ModeIrregular
	case filemode.Executable:
		return 0o555
	}
	return 0o444
}

// tree is a decoded tree. It is shared and never changed.
type tree struct {
	entries []entry // sorted by name, byte by byte, which is also the order of [fs.ReadDirFS]
}

func (t *tree) find(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
	if !ok {
		return entry{}, false
	}
	return t.entries[i], true
}

// parseTree decodes the content of a tree object (gitformat-pack(5) names it; the form is `mode SP name NUL hash`). Names
// that would mean something else in a path are errors, as in git fsck.
func parseTree(b []byte) (*tree, error) {
	t := &tree{}
	for len(b) > 0 {
		space := bytes.IndexByte(b, ' ')
		if space < 0 {
			return nil, errors.New("the tree is cut off after a mode")
		}
		mode, err := filemode.New(string(b[:space]))
		if err != nil {
			return nil, fmt.Errorf("the tree has the mode %q", b[:space])
		}
		b = b[space+1:]
		end := bytes.IndexByte(b, 0)
		if end < 0 || len(b) < end+1+len(plumbing.Hash{}) {
			return nil, errors.New("the tree is cut off after a name")
		}
		name := string(b[:end])
		if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
			return nil, fmt.Errorf("the tree has an entry named %q", name)
		}
		e := entry{name: name, mode: mode}
		b = b[end+1:]
		b = b[copy(e.hash[:], b):]
		switch mode {
		case filemode.Dir, filemode.Regular, filemode.Deprecated, filemode.Executable, filemode.Symlink, filemode.Submodule:
		default:
			return nil, fmt.Errorf("the tree has the mode %s at %q", mode, name)
		}
		t.entries = append(t.entries, e)
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(t.entries); i++ {
		if t.entries[i].name == t.entries[i-1].name {
			return nil, fmt.Errorf("the tree has %q twice", t.entries[i].name)
		}
	}
	return t, nil
}

// encodeTree is the opposite of parseTree. Git sorts a folder as if its name ended with a slash.
func encodeTree(entries []entry) []byte {
	key := func(e entry) string {
		if e.isTree() {
			return e.name + "/"
		}
		return e.name
	}
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return strings.Compare(key(a), key(b)) })
	var b bytes.Buffer
	for _, e := range sorted {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.mode), e.name)
		b.Write(e.hash[:])
	}
	return b.Bytes()
}

// maxCachedEntries bounds the decoded trees in memory, to about 30 MB.
const maxCachedEntries = 300_000

// treeCache keeps decoded trees. When it is full it starts anew: what is in use comes back at once.
type treeCache struct {
	mu      sync.Mutex
	trees   map[plumbing.Hash]*tree
	entries int
}

func newTreeCache() *treeCache { return &treeCache{trees: map[plumbing.Hash]*tree{}} }

func (c *treeCache) get(h plumbing.Hash) (*tree, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.trees[h]
	return t, ok
}

func (c *treeCache) put(h plumbing.Hash, t *tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries > maxCachedEntries {
		clear(c.trees)
		c.entries = 0
	}
	c.trees[h] = t
	c.entries += len(t.entries) + 1
}

// objects are those of a repository, which must be there because something in it names them.
type objects interface {
	need(want plumbing.ObjectType, h plumbing.Hash) ([]byte, error)
	sizeOf(h plumbing.Hash) (int64, error)
}

// reader reads trees out of objects.
type reader struct {
	objects objects
	trees   *treeCache
	raw     *rawTrees
	maxFile int64
}

// tree returns a decoded tree. The zero hash stands for the empty tree.
func (r *reader) tree(h plumbing.Hash) (*tree, error) {
	if h.IsZero() {
		return &tree{}, nil
	}
	if t, ok := r.trees.get(h); ok {
		return t, nil
	}
	b, err := r.rawTree(h)
	if err != nil {
		return nil, err
	}
	t, err := parseTree(b)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", h, err)
	}
	r.trees.put(h, t)
	return t, nil
}

// maxDepth bounds how deep folders nest.
const maxDepth = 256

// lookup returns the entry at a path of [fs.ValidPath] beneath root. It fails with [fs.ErrNotExist] also where the path
// leads through a file, a symbolic link or a submodule.
func (r *reader) lookup(root plumbing.Hash, path string) (entry, error) {
	at := entry{name: ".", mode: filemode.Dir, hash: root}
	if path == "." {
		return at, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if !at.isTree() {
			return entry{}, fs.ErrNotExist
		}
		t, err := r.tree(at.hash)
		if err != nil {
			return entry{}, err
		}
		next, ok := t.find(name)
		if !ok {
			return entry{}, fs.ErrNotExist
		}
		at = next
	}
	return at, nil
}
