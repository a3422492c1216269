package remote

import (
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/memory"
)

// adapter lets go-git read and fill a store. Its own fields (configuration and refs) are in memory and are touched only
// by the one fetch that may run; objects go to the store, which has a lock of its own.
type adapter struct {
	*memory.Storage
	s *store
}

func (a adapter) NewEncodedObject() plumbing.EncodedObject { return &plumbing.MemoryObject{} }

// PackfileWriter makes go-git hand over each pack as it comes from the remote.
func (a adapter) PackfileWriter() (io.WriteCloser, error) { return a.s.newPackWriter() }

func (a adapter) EncodedObject(want plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	t, b, err := a.s.object(h)
	if err != nil {
		return nil, err
	}
	if want != plumbing.AnyObject && want != t {
		return nil, plumbing.ErrObjectNotFound
	}
	return newObject(t, b), nil
}

func (a adapter) HasEncodedObject(h plumbing.Hash) error {
	if !a.s.has(h) {
		return plumbing.ErrObjectNotFound
	}
	return nil
}

func (a adapter) EncodedObjectSize(h plumbing.Hash) (int64, error) { return a.s.size(h) }

// newObject makes an object that shares b.
func newObject(t plumbing.ObjectType, b []byte) *plumbing.MemoryObject {
	o := &plumbing.MemoryObject{}
	o.SetType(t)
	_, _ = o.Write(b) // It appends to a slice, which cannot fail.
	return o
}
