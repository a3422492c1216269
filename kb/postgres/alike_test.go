package postgres_test

import (
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/kb/enginetest"
)

// readmes are real text: the documents of this repository, cut at their headings.
func readmes(t *testing.T) map[string]kb.Document {
	t.Helper()
	all := map[string]kb.Document{}
	for _, glob := range []string{"../../*.md", "../*.md", "../../spec/*.md", "../../cmd/*/*.md", "../../reconciler/*/*.md", "../../examples/*/*.md", "../../plugins/*.md"} {
		paths, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := kb.Document{Kind: kb.KindMarkdown, Title: path}
			for _, part := range strings.Split(string(b), "\n#") {
				heading, _, _ := strings.Cut(part, "\n")
				d.Chunks = append(d.Chunks, kb.Chunk{Heading: []string{strings.Trim(heading, "# ")}, Text: part})
			}
			all[path] = d
		}
	}
	return all
}

// direction is a vector of a text: a fixed one of each word, added up.
func direction(text string) []float32 {
	v := make([]float32, 32)
	for _, w := range strings.Fields(strings.ToLower(text)) {
		h := fnv.New64a()
		h.Write([]byte(w))
		random := rand.New(rand.NewPCG(h.Sum64(), 1))
		for i := range v {
			v[i] += float32(random.NormFloat64())
		}
	}
	return v
}

// Both engines give the same answers: by words the same scores, and with meaning, whose places the embedded one keeps in bytes, nearly.
func TestAnswersAreThoseOfTheEmbeddedEngine(t *testing.T) {
	const learned = 0.004
	embedded, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Close()
	other := lend(t)
	defer other.Close()
	documents := readmes(t)
	put := func(from, to string, which func(path string) bool) {
		u := kb.Update{Source: "docs", From: from, To: to, Space: "words", Read: func(_ context.Context, f kb.File) (kb.Document, error) { return documents[f.Path], nil },
			Embed: func(_ context.Context, texts []string) ([][]float32, error) {
				all := make([][]float32, len(texts))
				for i, text := range texts {
					all[i] = direction(text)
				}
				return all, nil
			}}
		for path := range documents {
			if which(path) {
				u.Put = append(u.Put, kb.File{Path: path, Blob: path})
			} else {
				u.Removed = append(u.Removed, path)
			}
		}
		for _, e := range []kb.Engine{embedded, other} {
			if err := e.Update(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("", "1", func(path string) bool { return !strings.Contains(path, "reconciler") })
	put("1", "2", func(path string) bool { return !strings.Contains(path, "plugins") })
	chunks := 0
	for _, question := range []string{"how is a secret kept from an agent", "approve a pull request", "policy", "kubectl", "which runtime runs the agents of the fleet",
		"read-only volumes", "what does the journal hold", "mainstay demo", "Ollama", "budget of tokens for a model"} {
		for _, how := range []struct {
			name      string
			wordsOnly bool
			vectors   bool
			most      int
			tolerance float64
		}{{"words", true, false, kb.MaxHits, enginetest.Tolerance}, {"meaning", false, false, kb.MaxHits, learned}, {"all", false, true, kb.MaxHits, learned}, {"the best", true, false, 3, enginetest.Tolerance}} {
			q := kb.Query{Text: question, Sources: []string{"docs"}, WordsOnly: how.wordsOnly, Most: how.most}
			if how.vectors {
				q.Vectors = map[string][]float32{"words": direction(question)}
			}
			want, err := embedded.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := other.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			scores := map[string]float64{}
			for _, h := range want {
				scores[h.File.Path+"\n"+h.Text] = h.Score
			}
			most := 0.0
			for i, h := range got {
				score, ok := scores[h.File.Path+"\n"+h.Text]
				if !ok {
					t.Errorf("%q by %s: %s is found by one engine only, with %v", question, how.name, h.File.Path, h.Score)
				}
				most = max(most, math.Abs(score-h.Score))
				if i == 0 && (h.File.Path != want[0].File.Path || h.Text != want[0].Text) && want[0].Score-score > how.tolerance {
					t.Errorf("%q by %s: the best is %s and %s", question, how.name, h.File.Path, want[0].File.Path)
				}
			}
			if len(got) != len(want) || len(got) == 0 || most > how.tolerance {
				t.Errorf("%q by %s: %d hits, want %d, scores differ by %v", question, how.name, len(got), len(want), most)
			}
			t.Logf("%q by %s: %d hits, scores differ by %.6f at most", question, how.name, len(got), most)
			chunks = max(chunks, len(got))
		}
	}
	if chunks < 50 {
		t.Errorf("only %d chunks were found", chunks)
	}
}
