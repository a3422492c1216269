package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/kb"
)

// chunkOf is a document of one chunk.
func chunkOf(text string) kb.Document { return kb.Document{Chunks: []kb.Chunk{{Text: text}}} }

// writer is one to memory.
type writer struct {
	*Writer
	file *bytes.Buffer
}

func newWriter(space string) writer {
	w := writer{file: &bytes.Buffer{}}
	w.Writer = NewWriter(space, w.file)
	return w
}

// built is the segment as a file.
func (w writer) built(m *Meaning) []byte {
	is, err := w.Build(m)
	file := w.file.Bytes()
	if err != nil || is.Size != len(file) || is.Checksum != Checksum(file) {
		panic(fmt.Sprint("built ", is, " of ", len(file), " bytes: ", err))
	}
	return file
}

// zipf is a text of words of which few are frequent.
func zipf(random *rand.Rand, vocabulary int) string {
	var b strings.Builder
	for range 1 + random.IntN(12) {
		fmt.Fprintf(&b, "w%dx ", int(float64(vocabulary)*math.Pow(random.Float64(), 4)))
	}
	return b.String()
}

// sourceOf are documents in segments, of which each has so many, and one of so many is gone where that is not zero. It returns the
// texts that are there too, by path.
func sourceOf(t rapid.TB, random *rand.Rand, documents, gone []int) (Source, map[string]string) {
	texts := map[string]string{}
	var source Source
	n := 0
	for i, size := range documents {
		w := newWriter("")
		for range size {
			path := fmt.Sprintf("%06d", n)
			texts[path] = zipf(random, 60)
			w.Add(kb.File{Path: path, Blob: path}, chunkOf(texts[path]), nil)
			n++
		}
		if i == 0 {
			source.Meaning = w.Learn()
		}
		s, err := Open(w.built(source.Meaning))
		if err != nil {
			t.Fatal(err)
		}
		var without []int
		for entry, e := range s.Entries() {
			if gone[i] > 0 && random.IntN(gone[i]) == 0 {
				without = append(without, entry)
				delete(texts, e.File.Path)
			}
		}
		source.Segments = append(source.Segments, All(s).Without(without))
	}
	return source, texts
}

// plain scores texts as BM25 is written down.
func plain(texts map[string]string, query string) map[string]float64 {
	length := 0
	for _, text := range texts {
		length += len(strings.Fields(text))
	}
	scores := map[string]float64{}
	for _, word := range strings.Fields(query) {
		in := 0
		for _, text := range texts {
			if slices.Contains(strings.Fields(text), word) {
				in++
			}
		}
		for path, text := range texts {
			n := 0.0
			for _, w := range strings.Fields(text) {
				if w == word {
					n++
				}
			}
			if n > 0 {
				size := float64(len(strings.Fields(text))) / (float64(length) / float64(len(texts)))
				scores[path] += math.Log(1+(float64(len(texts)-in)+.5)/(float64(in)+.5)) * n * 2.2 / (n + 1.2*(.4+.6*size))
			}
		}
	}
	return scores
}

// Passing over blocks changes nothing of what is found, and what is found is what BM25 says of the documents that are there. A large
// collection of which few are wanted passes over some for certain; the others are as chance has it.
func TestNothingIsPassedOver(t *testing.T) {
	passed := false
	for _, most := range []int{1, 10} {
		random := rand.New(rand.NewPCG(1, uint64(most)))
		source, texts := sourceOf(t, random, []int{2000, 1500}, []int{10, 0})
		for _, s := range source.Segments {
			passed = passed || s.blocks() > 3 && len(s.dense) > 0
		}
		for range 20 {
			findsAll(t, source, texts, Ask{Text: zipf(random, 80), WordsOnly: true, Most: most})
		}
	}
	if !passed {
		t.Fatal("the large collection has no blocks to pass over")
	}
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		documents := rapid.SliceOfN(rapid.IntRange(0, 2000), 1, 3).Draw(t, "documents")
		gone := rapid.SliceOfN(rapid.SampledFrom([]int{2, 10, 0}), len(documents), len(documents)).Draw(t, "gone")
		source, texts := sourceOf(t, random, documents, gone)
		findsAll(t, source, texts, Ask{Text: zipf(random, 80), WordsOnly: rapid.Bool().Draw(t, "words only"),
			Most: rapid.SampledFrom([]int{1, 10, 100, 5000}).Draw(t, "most")})
	})
}

// findsAll fails where an answer is not that of looking at all, or, by words, not what BM25 says.
func findsAll(t rapid.TB, source Source, texts map[string]string, ask Ask) {
	t.Helper()
	got, err := Search(context.Background(), []Source{source}, ask)
	if err != nil {
		t.Fatal(err)
	}
	ask.exhaustive = true
	want, err := Search(context.Background(), []Source{source}, ask)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q finds %v, and exhaustively %v", ask.Text, got, want)
	}
	if !ask.WordsOnly || len(texts) == 0 {
		return
	}
	scores := plain(texts, ask.Text)
	if len(got) != min(ask.Most, len(scores)) {
		t.Fatalf("%q finds %d of %d", ask.Text, len(got), len(scores))
	}
	sorted := slices.SortedFunc(maps.Values(scores), func(a, b float64) int { return cmp.Compare(b, a) })
	for i, f := range got {
		path := source.Segments[f.Segment].Entries()[f.Entry].File.Path
		if is := scores[path] / sorted[0]; math.Abs(is-f.Score) > 1e-4 || math.Abs(sorted[i]/sorted[0]-f.Score) > 1e-4 {
			t.Fatalf("%q: %s has %v, and is %v; the %d. best is %v", ask.Text, path, f.Score, is, i, sorted[i]/sorted[0])
		}
	}
}

func someSegment() []byte {
	w := newWriter("model")
	for i := range 12 {
		d := kb.Document{Kind: kb.KindText, Title: fmt.Sprint("title ", i%7), Chunks: []kb.Chunk{{Heading: []string{"a", "b"}, First: 1, Last: 2, Text: fmt.Sprint("pod node", i%9, " filler", i)}}}
		w.Add(kb.File{Path: fmt.Sprint(i), Blob: "b"}, d, [][]float32{{1, float32(i), -3}})
	}
	return w.built(w.Learn())
}

// What a version of the layout writes never changes: where this fails, and is meant to, the version goes up. Meaning and
// vectors are not in it, which processors round differently.
func TestTheLayoutIsThatOfItsVersion(t *testing.T) {
	w := newWriter("")
	for i := range 12 {
		d := kb.Document{Kind: kb.KindText, Title: fmt.Sprint("Title ", i%7), Chunks: []kb.Chunk{{Heading: []string{"a", "B"}, First: 1, Last: 2, Text: fmt.Sprint("readOnly pods of v1.2.", i%9, " 知識検索")}}}
		w.Add(kb.File{Path: fmt.Sprint(i), Blob: "b", Time: time.Unix(int64(i)<<20, 5)}, d, nil)
	}
	w.Add(kb.File{Path: "broken"}, kb.Document{Problem: "cannot be read"}, nil)
	const want = "2 54d80423f44292870a30645530ee6d2ecf07d3993f74f5fdb0c3b22fb6a6b085"
	if got := fmt.Sprintf("%d %x", version, sha256.Sum256(w.built(nil))); got != want {
		t.Errorf("it writes %s, want %s", got, want)
	}
}

// askAll asks a segment all there is. It may answer anything.
func askAll(t *testing.T, s *Segment) {
	l := All(s)
	for i := range s.Entries() {
		s.Document(i)
		s.ByPath(s.Entries()[i].File.Path)
		l = l.Without([]int{i / 2})
	}
	for _, l := range []*Live{All(s), l} {
		ask := Ask{Text: "pod node1 title filler17", Most: 10, Vectors: map[string][]float32{s.Space(): slices.Repeat([]float32{1}, max(s.VectorDims(), 0))}}
		if _, err := Search(t.Context(), []Source{{Space: s.Space(), Segments: []*Live{l}}}, ask); err != nil {
			t.Fatal(err)
		}
	}
	w := newWriter(s.Space())
	c := w.Copier(s)
	for i, e := range s.Entries() {
		c.Copy(i, e.File)
	}
	w.built(nil)
}

// Chunks that words do not find are found by their vectors, if they are there.
func TestVectorsFindChunks(t *testing.T) {
	w := newWriter("model")
	for i := range 300 {
		w.Add(kb.File{Path: fmt.Sprint(i)}, chunkOf(fmt.Sprint("pod", i)), [][]float32{{1, float32(i), 0}})
	}
	s, err := Open(w.built(nil))
	if err != nil {
		t.Fatal(err)
	}
	find := func(l *Live, question []float32) ([]Found, error) {
		return Search(t.Context(), []Source{{Space: "model", Segments: []*Live{l}}}, Ask{Text: "pod200", Most: 3, Vectors: map[string][]float32{"model": question}})
	}
	for _, c := range []struct {
		l    *Live
		want []uint32
	}{
		{All(s), []uint32{200, 7, 8}},
		{All(s).Without([]int{7}), []uint32{200, 8, 6}},
		{All(s).Showing(func(e Entry) bool { return e.File.Path != "8" }), []uint32{200, 7, 6}},
	} {
		by, err := find(c.l, []float32{1, 7.2, 0})
		if err != nil {
			t.Fatal(err)
		}
		var got []uint32
		for _, f := range by {
			got = append(got, f.Chunk)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("found %v, want %v", got, c.want)
		}
	}
	if _, err := find(All(s), []float32{1, float32(math.NaN()), 0}); err == nil || err.Error() != `the query's vector of space "model": number 1 of a vector is NaN: all have to be finite` {
		t.Errorf("a question that is no number: %v", err)
	}
}

// FuzzOpen opens files that somebody has made: what is opened can be asked.
func FuzzOpen(f *testing.F) {
	f.Add(someSegment(), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, at uint32, to byte) {
		if s, err := Open(forged(file, at, to)); err == nil {
			askAll(t, s)
		}
	})
}

func FuzzOpenMeaning(f *testing.F) {
	w := newWriter("")
	for i := range 40 {
		w.Add(kb.File{}, chunkOf(fmt.Sprintf("pod node%d restart%d drain%d", i%3, i%5, i%7)), nil)
	}
	f.Add(w.Learn().File(), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, file []byte, at uint32, to byte) {
		if m, err := OpenMeaning(forged(file, at, to)); err == nil {
			m.vector([]Term{{"pod", 1}, {"node1", 2}, {"drain4", 1}})
			w := newWriter("")
			w.Add(kb.File{}, chunkOf("pod node1 drain3"), nil)
			w.built(m)
		}
	})
}

// forged is a file with one byte changed and a checksum that is right.
func forged(file []byte, at uint32, to byte) []byte {
	if len(file) < 16 || len(file)%8 != 0 {
		return file
	}
	file = slices.Clone(file)
	file[int(at)%len(file)] = to
	body := file[:len(file)-8]
	binary.LittleEndian.PutUint64(file[len(body):], uint64(crc32.Checksum(body, castagnoli)))
	return file
}

// Every byte of a small segment is changed, and the checksum made right again.
func TestForgedSegments(t *testing.T) {
	file := someSegment()
	opened := 0
	for at := 0; at < len(file)-8; at += 3 {
		if s, err := Open(forged(file, uint32(at), file[at]^0xff)); err == nil {
			askAll(t, s)
			opened++
		}
	}
	if opened == 0 {
		t.Error("none was opened")
	}
}

// A segment that is merged of others is the one that would have been made at once, meaning included.
func TestCopiesAreTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	whole, first, second := newWriter("model"), newWriter("model"), newWriter("model")
	for i := range 400 {
		f, d, v := kb.File{Path: fmt.Sprintf("%03d", i)}, chunkOf(zipf(random, 50)), [][]float32{{1, float32(i), 3}}
		whole.Add(f, d, v)
		if i < 150 {
			first.Add(f, d, v)
		} else {
			second.Add(f, d, v)
		}
	}
	meaning := whole.Learn()
	want := whole.built(meaning)
	merged := newWriter("model")
	for _, w := range []writer{first, second} {
		s, err := Open(w.built(meaning))
		if err != nil {
			t.Fatal(err)
		}
		c := merged.Copier(s)
		for i, e := range s.Entries() {
			c.Copy(i, e.File)
		}
	}
	if got := merged.built(meaning); !slices.Equal(got, want) {
		t.Errorf("merged are %d bytes, and made at once %d", len(got), len(want))
	}
}
