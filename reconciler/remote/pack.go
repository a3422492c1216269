package remote

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Git's pack format is defined with SHA-1.
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// minPack is the size of a pack without objects: a header of 12 bytes and a checksum of 20.
const minPack = 32

// pack is one immutable Git pack with its index. It is read under the store's lock.
type pack struct {
	name    string // the checksum of the pack, in hexadecimal
	size    int64
	index   *idxfile.MemoryIndex
	objects *packfile.Packfile
}

// newPack reads objects of content through index; both must be of one pack.
func newPack(name string, size int64, index *idxfile.MemoryIndex, content packFile, recent cache.Object) *pack {
	return &pack{name: name, size: size, index: index, objects: packfile.NewPackfileWithCache(index, nil, content, recent, 0)}
}

// packFile gives go-git the file that it asks for; a pack is only read.
type packFile struct {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
	name string
}

var errReadOnly = errors.New("a pack is never changed")

func (f packFile) Name() string              { return f.name }
func (f packFile) Write([]byte) (int, error) { return 0, errReadOnly }
func (f packFile) Lock() error               { return nil }
func (f packFile) Unlock() error             { return nil }
func (f packFile) Truncate(int64) error      { return errReadOnly }

func onDisk(f *os.File) packFile {
	return packFile{ReadSeeker: f, ReaderAt: f, Closer: f, name: f.Name()}
}

func inMemory(b []byte) packFile {
	r := bytes.NewReader(b)
	return packFile{ReadSeeker: r, ReaderAt: r, Closer: io.NopCloser(nil), name: "memory"}
}

// openPack opens the pack of an index file in the store. It checks that index and pack are whole and belong together,
// and not every object: a damaged object shows when it is read.
func openPack(indexPath string, recent cache.Object) (*pack, error) {
	in, err := os.Open(indexPath)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(in).Decode(index); err != nil {
		return nil, fmt.Errorf("read %s: %w", indexPath, err)
	}
	path := strings.TrimSuffix(indexPath, ".idx") + ".pack"
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := checkTrailer(f, index.PackfileChecksum[:])
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	name := plumbing.Hash(index.PackfileChecksum).String()
	return newPack(name, size, index, onDisk(f), recent), nil
}

func checkTrailer(f *os.File, want []byte) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < minPack {
		return 0, errors.New("the pack is cut off")
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, info.Size()-int64(len(got))); err != nil {
		return 0, err
	}
	if !bytes.Equal(got, want) {
		return 0, errors.New("the pack does not belong to its index")
	}
	return info.Size(), nil
}

// packWriter takes one pack as a stream. Close checks it, indexes it and adds it to the store, all or nothing.
type packWriter struct {
	s    *store
	file *os.File     // nil in memory
	buf  bytes.Buffer // in memory
	size int64
}

func (s *store) newPackWriter() (*packWriter, error) {
	w := &packWriter{s: s}
	if s.dir == "" {
		return w, nil
	}
	f, err := os.CreateTemp(s.packDir(), incomingPrefix)
	if err != nil {
		return nil, err
	}
	w.file = f
	return w, nil
}

// Write fails when the pack outgrows the store's limit.
func (w *packWriter) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	if w.size > w.s.maxPack {
		return 0, fmt.Errorf("%w: the remote sends more than %d MiB at once: watch a smaller repository", ErrTooLarge, w.s.maxPack>>20)
	}
	if w.file == nil {
		return w.buf.Write(p)
	}
	return w.file.Write(p)
}

// Close adds what was written to the store; nothing if nothing was written.
func (w *packWriter) Close() error {
	content := inMemory(w.buf.Bytes())
	if w.file != nil {
		content = onDisk(w.file)
	}
	index, err := w.index(content)
	if err != nil || index == nil {
		return errors.Join(err, w.discard())
	}
	p := newPack(plumbing.Hash(index.PackfileChecksum).String(), w.size, index, content, w.s.recent)
	if w.file != nil {
		if err := w.keep(p.name, index); err != nil {
			return errors.Join(err, w.discard())
		}
	}
	w.s.add(p)
	return nil
}

func (w *packWriter) discard() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// index returns nil for an empty stream.
func (w *packWriter) index(content packFile) (*idxfile.MemoryIndex, error) {
	if w.size == 0 || w.size > w.s.maxPack {
		return nil, nil
	}
	if err := checkSum(content, w.size); err != nil {
		return nil, err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(content), writer)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(); err != nil {
		if errors.Is(err, packfile.ErrEmptyPackfile) {
			return nil, nil
		}
		return nil, fmt.Errorf("the pack from the remote is damaged: %w", err)
	}
	return writer.Index()
}

func checkSum(content io.ReaderAt, size int64) error {
	if size < minPack {
		return errors.New("the pack from the remote is cut off")
	}
	sum := sha1.New() //nolint:gosec // See the import.
	if _, err := io.Copy(sum, io.NewSectionReader(content, 0, size-sha1.Size)); err != nil {
		return err
	}
	var trailer [sha1.Size]byte
	if _, err := content.ReadAt(trailer[:], size-sha1.Size); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), trailer[:]) {
		return errors.New("the pack from the remote is cut off or damaged")
	}
	return nil
}

// keep moves the pack and then its index to their final names. The index comes last: a pack without one does not count,
// so a crash between the two leaves nothing behind that is read.
func (w *packWriter) keep(name string, index *idxfile.MemoryIndex) error {
	out, err := os.CreateTemp(w.s.packDir(), incomingPrefix)
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(out).Encode(index)
	err = errors.Join(err, out.Sync(), out.Close(), w.file.Sync())
	base := filepath.Join(w.s.packDir(), "pack-"+name)
	if err == nil {
		err = os.Rename(w.file.Name(), base+".pack")
	}
	if err == nil {
		err = os.Rename(out.Name(), base+".idx")
	}
	if err != nil {
		os.Remove(out.Name())
	}
	return err
}
