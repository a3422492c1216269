package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Snapshot is the file tree of one commit, or a folder of it. It never changes and may be read from many goroutines, also
// while a fetch runs.
//
// Symbolic links are never followed: Stat shows one as [fs.ModeSymlink], ReadLink says where it points, a path through
// it does not exist, and to read it is an error. A submodule is an irregular file that cannot be read.
// [fs.FileInfo.Sys] returns the id of the Git object as a string, and so does the method ID of what ReadDir lists, so that
// a reader can keep what it made of a file or folder.
type Snapshot struct {
	r    *reader
	root plumbing.Hash
	when time.Time
}

var _ interface {
	fs.ReadDirFS
	fs.ReadFileFS
	fs.StatFS
	fs.SubFS
	fs.ReadLinkFS
} = (*Snapshot)(nil)

// Snapshot returns the file tree of a commit in the store. The error has [ErrMissing] if it is not there.
func (r *Remote) Snapshot(commit string) (*Snapshot, error) {
	c, err := r.Commit(commit)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{r: &r.reader, root: plumbing.NewHash(c.Tree), when: c.When}
	if _, err := r.reader.tree(s.root); err != nil {
		return nil, fmt.Errorf("commit %s: %w", commit, err)
	}
	return s, nil
}

// Lstat returns what is at a path.
func (s *Snapshot) Lstat(name string) (fs.FileInfo, error) {
	e, err := s.at("stat", name)
	if err != nil {
		return nil, err
	}
	return s.info("stat", name, e)
}

// Stat is Lstat, because links are never followed.
func (s *Snapshot) Stat(name string) (fs.FileInfo, error) { return s.Lstat(name) }

// ReadDir lists a folder, sorted by name.
func (s *Snapshot) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := s.at("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.isTree() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	t, err := s.r.tree(e.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list := make([]fs.DirEntry, len(t.entries))
	for i, e := range t.entries {
		list[i] = dirEntry{s: s, path: path.Join(name, e.name), entry: e}
	}
	return list, nil
}

// ReadFile returns the content of a file no larger than Options.MaxFile; a larger one is an error with [ErrTooLarge].
func (s *Snapshot) ReadFile(name string) ([]byte, error) {
	e, err := s.at("read", name)
	if err != nil {
		return nil, err
	}
	return s.read("read", name, e)
}

// ReadLink returns where a symbolic link points, as it is written.
func (s *Snapshot) ReadLink(name string) (string, error) {
	e, err := s.at("readlink", name)
	if err != nil {
		return "", err
	}
	if e.mode != filemode.Symlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	b, err := s.blob("readlink", name, e)
	return string(b), err
}

// Sub returns the Snapshot of a folder.
func (s *Snapshot) Sub(dir string) (fs.FS, error) {
	e, err := s.at("sub", dir)
	if err != nil {
		return nil, err
	}
	if !e.isTree() {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: errors.New("not a directory")}
	}
	return &Snapshot{r: s.r, root: e.hash, when: s.when}, nil
}

// Open opens a file or folder. A symbolic link or submodule can be opened to Stat it, and not to read it.
func (s *Snapshot) Open(name string) (fs.File, error) {
	e, err := s.at("open", name)
	if err != nil {
		return nil, err
	}
	info, err := s.info("open", name, e)
	if err != nil {
		return nil, err
	}
	f := openFile{info: info, name: name}
	if e.isTree() {
		list, err := s.ReadDir(name)
		return &openDir{openFile: f, list: list}, err
	}
	if info.Mode().IsRegular() {
		b, err := s.blob("open", name, e)
		if err != nil {
			return nil, err
		}
		return &openBlob{openFile: f, Reader: bytes.NewReader(b)}, nil
	}
	return f, nil
}

// at takes names that are not UTF-8 too, because Git does, and a walk must not end at one.
func (s *Snapshot) at(op, name string) (entry, error) {
	if !fs.ValidPath(strings.ToValidUTF8(name, "?")) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, err := s.r.lookup(s.root, name)
	if err != nil {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return e, nil
}

func (s *Snapshot) read(op, name string, e entry) ([]byte, error) {
	if err := readable(e.fsMode()); err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return s.blob(op, name, e)
}

func readable(m fs.FileMode) error {
	switch {
	case m.IsDir():
		return errors.New("is a directory")
	case m&fs.ModeSymlink != 0:
		return errors.New("is a symbolic link, and links are never followed")
	case !m.IsRegular():
		return errors.New("is a submodule, and submodules are never fetched")
	}
	return nil
}

func (s *Snapshot) blob(op, name string, e entry) ([]byte, error) {
	size, err := s.size(e)
	if err == nil && size > s.r.maxFile {
		err = fmt.Errorf("%w: %d bytes, and the limit is %d", ErrTooLarge, size, s.r.maxFile)
	}
	var b []byte
	if err == nil {
		b, err = s.r.objects.need(plumbing.BlobObject, e.hash)
	}
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return b, nil
}

func (s *Snapshot) size(e entry) (int64, error) {
	if e.isTree() || e.mode == filemode.Submodule {
		return 0, nil
	}
	return s.r.objects.sizeOf(e.hash)
}

func (s *Snapshot) info(op, name string, e entry) (fs.FileInfo, error) {
	size, err := s.size(e)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return fileInfo{name: path.Base(name), size: size, mode: e.fsMode(), when: s.when, id: e.hash.String()}, nil
}

type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
	when time.Time
	id   string
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return i.when }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return i.id }

type dirEntry struct {
	s    *Snapshot
	path string
	entry
}

func (d dirEntry) Name() string               { return d.name }
func (d dirEntry) IsDir() bool                { return d.isTree() }
func (d dirEntry) Type() fs.FileMode          { return d.fsMode().Type() }
func (d dirEntry) Info() (fs.FileInfo, error) { return d.s.info("stat", d.path, d.entry) }
func (d dirEntry) String() string             { return fs.FormatDirEntry(d) }

// ID returns the id of the Git object, of a folder too. Unlike Info it costs nothing.
func (d dirEntry) ID() string { return d.hash.String() }

// openFile is an open path that cannot be read.
type openFile struct {
	info fs.FileInfo
	name string
}

func (f openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f openFile) Close() error               { return nil }
func (f openFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: readable(f.info.Mode())}
}

type openBlob struct {
	openFile
	*bytes.Reader
}

func (f *openBlob) Read(p []byte) (int, error) { return f.Reader.Read(p) }

type openDir struct {
	openFile
	list []fs.DirEntry
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.list) {
		if n > 0 && len(d.list) == 0 {
			return nil, io.EOF
		}
		n = len(d.list)
	}
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
