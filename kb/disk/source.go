package disk

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// source is a source in one state. It does not change. Its files stay in memory while somebody holds it.
type source struct {
	manifest
	live    []*index.Live // of manifest.Segments
	meaning *index.Meaning
	files   []*mapped // of the meaning, if there is one, and of the segments
	size    int       // of the manifest
	held    atomic.Int32
}

func (s *source) hold() { s.held.Add(1) }

func (s *source) release() {
	if s.held.Add(-1) == 0 {
		for _, f := range s.files {
			f.release()
		}
	}
}

// place is where a document is: of a segment, an entry.
type place struct{ segment, entry int }

func (s *source) find(path string) (place, bool) {
	for i, l := range s.live {
		if entry, ok := l.ByPath(path); ok && !l.Gone(entry) {
			return place{i, entry}, true
		}
	}
	return place{}, false
}

// findBlob finds a document of that content.
func (s *source) findBlob(blob string) (place, bool) {
	for i, l := range s.live {
		for _, entry := range l.ByBlob(blob) {
			if !l.Gone(entry) {
				return place{i, entry}, true
			}
		}
	}
	return place{}, false
}

func (s *source) entry(p place) index.Entry { return s.live[p.segment].Entries()[p.entry] }

// places are all documents of some segments that are there, sorted by path.
func (s *source) places(segments ...int) []place {
	var all []place
	for _, i := range segments {
		for entry := range s.live[i].Entries() {
			if !s.live[i].Gone(entry) {
				all = append(all, place{i, entry})
			}
		}
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(s.entry(a).File.Path, s.entry(b).File.Path) })
	return all
}

func (s *source) all() []int {
	all := make([]int, len(s.live))
	for i := range all {
		all[i] = i
	}
	return all
}

// dims is how many numbers the vectors of the source have; 0 where it has none.
func (s *source) dims() int {
	for _, l := range s.live {
		if s.Space != "" && l.Space() == s.Space && l.Chunks() > 0 {
			return l.VectorDims()
		}
	}
	return 0
}

func (s *source) stats() kb.Stats {
	stats := kb.Stats{Source: s.Source, State: s.State, Format: s.Format, Space: s.Space, Dims: s.dims(), Disk: int64(s.size)}
	for _, l := range s.live {
		stats.Chunks += l.Chunks()
		stats.Bytes += l.Bytes()
		if s.Space != "" && l.Space() == s.Space {
			stats.Vectors += l.Chunks()
		}
		stats.Documents += l.Found()
		for e := range l.Unread() {
			stats.Problems = append(stats.Problems, kb.Problem{Path: e.File.Path, Text: e.Problem})
		}
	}
	slices.SortFunc(stats.Problems, func(a, b kb.Problem) int { return cmp.Compare(a.Path, b.Path) })
	stats.Unread = len(stats.Problems)
	stats.Problems = stats.Problems[:min(stats.Unread, kb.MaxProblems)]
	for _, f := range s.files {
		stats.Disk += int64(len(f.data))
	}
	return stats
}
