package spec

import "io/fs"

// LoadRoot reads mainstay.yaml alone: who may approve, and which ledger is pinned. It is for judging an old commit, where
// other files may be broken. Only the Fleet's own fields are set.
func LoadRoot(root fs.FS) (*Fleet, Problems) {
	l := &loader{root: rootOnly{root}, alone: true}
	l.readAll()
	l.indexAll()
	f := &Fleet{Expires: defaultExpires}
	if len(l.fleet) > 0 {
		f.Resource = l.resource(l.fleet[0].document)
		l.fleetSpec(f, l.fleet[0])
	}
	l.problems.sort()
	if l.problems.HasErrors() {
		return nil, l.problems
	}
	return f, l.problems
}

// rootOnly is a folder in which nothing but mainstay.yaml can be found.
type rootOnly struct{ fs.FS }

// ReadDir lists mainstay.yaml, if it is there.
func (r rootOnly) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.FS, name)
	for _, e := range entries {
		if e.Name() == rootFile {
			return []fs.DirEntry{e}, err
		}
	}
	return nil, err
}
