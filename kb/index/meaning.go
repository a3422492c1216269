package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/mainstay-dev/mainstay/kb/lsa"
)

// Meaning is what was learned from a collection: which terms are used alike. It is safe for concurrent use.
type Meaning struct {
	id    string
	from  int
	dict  dictionary
	space *lsa.Space
	file  []byte
}

// ID identifies it. What was learned from the same chunks has the same.
func (m *Meaning) ID() string { return m.id }

// LearnedFrom is how many chunks it was learned from.
func (m *Meaning) LearnedFrom() int { return m.from }

// File is it as a file that OpenMeaning reads. It must not change.
func (m *Meaning) File() []byte { return m.file }

// The sections of a meaning's file, which is laid out like a segment's.
const (
	meaningMeta = iota
	meaningTerms
	meaningTermEnds
	meaningTable
	meaningWeights
	meaningCells
	meaningScales
	meaningSections
)

type meaningOf struct {
	From, Dims int
}

func newMeaning(terms []string, space *lsa.Space, from int) *Meaning {
	order := make([]int, len(terms))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if terms[a] < terms[b] {
			return -1
		}
		return 1
	})
	sorted, weights, basis := make([]string, len(terms)), make([]float32, len(terms)), lsa.NewPacked(space.Dims(), len(terms))
	for to, at := range order {
		sorted[to], weights[to] = terms[at], space.Weights()[at]
		basis.Copy(to, space.Basis(), at)
	}
	described, err := json.Marshal(meaningOf{from, space.Dims()})
	if err != nil {
		panic(err) // Numbers always can be written.
	}
	dict := newDictionary(sorted)
	var to bytes.Buffer
	out := newOutput(&to, meaningSections)
	for i, b := range [][]byte{described, dict.text, raw(dict.ends), raw(dict.table), raw(weights), raw(basis.Cells()), raw(basis.Scales())} {
		out.section(i, b)
	}
	if _, err := out.close(); err != nil {
		panic(err) // Memory takes all.
	}
	file := to.Bytes()
	return &Meaning{identify(file), from, dict, lsa.NewSpace(weights, basis), file}
}

func identify(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:12])
}

// OpenMeaning reads what File told. It keeps the bytes, which must not change, and checks all of them.
func OpenMeaning(file []byte) (*Meaning, error) {
	of, err := unpack(file, meaningSections)
	if err != nil {
		return nil, err
	}
	var d meaningOf
	if err := json.Unmarshal(of[meaningMeta], &d); err != nil {
		return nil, errDamaged
	}
	m := &Meaning{identify(file), d.From, dictionary{of[meaningTerms], view[uint32](of[meaningTermEnds]), view[uint32](of[meaningTable])}, nil, file}
	weights := view[float32](of[meaningWeights])
	basis := lsa.PackedOf(d.Dims, view[int8](of[meaningCells]), view[float32](of[meaningScales]))
	if d.From < 0 || d.Dims < 2 || !m.dict.sound() || len(weights) != m.dict.len() || !packedSound(&basis, len(weights)) {
		return nil, errDamaged
	}
	m.space = lsa.NewSpace(weights, basis)
	return m, nil
}

// rows are the numbers that a dictionary's terms have here, and 1; 0 for those that are not known.
func (m *Meaning) rows(of *dictionary) []uint32 {
	rows := make([]uint32, of.len())
	for t := range rows {
		if row, ok := m.dict.find(of.term(uint32(t))); ok {
			rows[t] = row + 1
		}
	}
	return rows
}

// vector is that of a text; nil where nothing is known of it.
func (m *Meaning) vector(terms []Term) []float32 {
	counts := make([]lsa.Count, 0, len(terms))
	for _, a := range terms {
		if row, ok := m.dict.find(a.Text); ok {
			counts = append(counts, lsa.Count{Term: row, N: uint32(a.Weight)})
		}
	}
	return m.space.Vector(counts)
}
