package disk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/kb/index"
)

// manifest is what a source consists of. A source is in the state that its manifest says; files that it does not name are left over.
type manifest struct {
	Source string            `json:"source"`
	State  string            `json:"state"`
	Format string            `json:"format"`
	Space  string            `json:"space,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Next is the number of the next file.
	Next     int    `json:"next"`
	Segments []part `json:"segments,omitempty"`
	Meaning  *part  `json:"meaning,omitempty"`
	// Learned is how many chunks there were when meaning was learned last, and Added how many came since.
	Learned int `json:"learned,omitempty"`
	Added   int `json:"added,omitempty"`
}

// part is a file of a source.
type part struct {
	File     string `json:"file"`
	Size     int    `json:"size"`
	Checksum uint32 `json:"checksum"`
	// Gone are the documents of a segment that are gone, a bit for each.
	Gone []uint64 `json:"gone,omitempty"`
}

const (
	manifestName = "manifest"
	asideName    = "manifest.new"
	// layout is the first word of a manifest. It changes with the layout of anything here.
	layout = "mainstay-kb-1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that something is not as it was written. What is said so of can be built again.
var errDamaged = errors.New("damaged")

func (m *manifest) encode() ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%s %08x\n", layout, crc32.Checksum(body, castagnoli)), body...), nil
}

func decodeManifest(b []byte) (*manifest, error) {
	head, body, _ := bytes.Cut(b, []byte("\n"))
	var m manifest
	if string(head) != fmt.Sprintf("%s %08x", layout, crc32.Checksum(body, castagnoli)) {
		return nil, fmt.Errorf("%w: the manifest is of another version, or not as it was written", errDamaged)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: the manifest: %w", errDamaged, err)
	}
	return &m, nil
}

// folderOf is the name of the folder of a source, whatever that is called.
func folderOf(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:16])
}

// read brings a source into memory. It fails with errDamaged where the source has to be built again.
func read(folder string) (*source, error) {
	b, err := os.ReadFile(filepath.Join(folder, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no manifest", errDamaged)
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, err
	}
	if folderOf(m.Source) != filepath.Base(folder) || m.State == "" {
		return nil, fmt.Errorf("%w: the manifest is another source's", errDamaged)
	}
	s := &source{manifest: *m, size: len(b)}
	s.held.Store(1)
	if err := s.load(folder); err != nil {
		s.release()
		return nil, fmt.Errorf("source %q: %w", m.Source, err)
	}
	return s, nil
}

func (s *source) load(folder string) error {
	if p := s.manifest.Meaning; p != nil {
		f, err := p.load(folder)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		if s.meaning, err = index.OpenMeaning(f.data); err != nil {
			return fmt.Errorf("%w: %s: %w", errDamaged, p.File, err)
		}
	}
	for _, p := range s.Segments {
		f, err := p.load(folder)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		segment, err := index.Open(f.data)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errDamaged, p.File, err)
		}
		var gone []int
		for i := range segment.Entries() {
			if i/64 < len(p.Gone) && p.Gone[i/64]>>(i%64)&1 == 1 {
				gone = append(gone, i)
			}
		}
		s.live = append(s.live, index.All(segment).Without(gone))
	}
	return nil
}

func (p part) load(folder string) (*mapped, error) {
	if filepath.Base(p.File) != p.File {
		return nil, fmt.Errorf("%w: the manifest names a file outside of the folder", errDamaged)
	}
	f, err := load(folder, p.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not there", errDamaged, p.File)
	}
	if err != nil {
		return nil, err
	}
	if len(f.data) != p.Size || index.Checksum(f.data) != p.Checksum {
		f.release()
		return nil, fmt.Errorf("%w: %s is not what was written", errDamaged, p.File)
	}
	return f, nil
}
