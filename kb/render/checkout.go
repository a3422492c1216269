package render

import (
	"fmt"
	"io/fs"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// checkout is what kustomize sees of a repository: its files may be called anything, where the file systems that kustomize has in memory
// refuse a name such as a+b. Nothing is written into it.
type checkout struct {
	filesys.FileSystem // An empty one, for what no build asks.
	files              map[string][]byte
	folders            map[string]bool
}

func newCheckout() *checkout {
	return &checkout{filesys.MakeFsInMemory(), map[string][]byte{}, map[string]bool{"/": true}}
}

func (c *checkout) put(name string, content []byte) {
	c.files[name] = content
	for dir := path.Dir(name); !c.folders[dir]; dir = path.Dir(dir) {
		c.folders[dir] = true
	}
}

func absolute(name string) string { return path.Join("/", name) }

func (c *checkout) IsDir(name string) bool { return c.folders[absolute(name)] }

func (c *checkout) Exists(name string) bool {
	_, ok := c.files[absolute(name)]
	return ok || c.IsDir(name)
}

func (c *checkout) ReadFile(name string) ([]byte, error) {
	content, ok := c.files[absolute(name)]
	switch {
	case ok:
		return slices.Clone(content), nil
	case c.IsDir(name):
		return nil, fmt.Errorf("cannot read content from non-file '%s'", name)
	}
	return nil, notThere(name)
}

func (c *checkout) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	at := absolute(name)
	if c.folders[at] {
		return filesys.ConfirmedDir(at), "", nil
	}
	if _, ok := c.files[at]; ok {
		return filesys.ConfirmedDir(path.Dir(at)), path.Base(at), nil
	}
	return "", "", notThere(name)
}

// notThere is a path at which nothing is, and says so in the words of kustomize.
type notThere string

func (n notThere) Error() string { return fmt.Sprintf("'%s' doesn't exist", string(n)) }
func (n notThere) Unwrap() error { return fs.ErrNotExist }
