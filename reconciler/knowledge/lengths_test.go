package knowledge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// measured is a world with a source whose model makes vectors of a length that a test chooses.
type measured struct {
	*world
	source *spec.KnowledgeSource
	// length is that of the next vector. made counts them, and calls how often the model was asked.
	length      func() int
	made, calls int
}

func newMeasured(t *testing.T) *measured {
	t.Helper()
	m := &measured{length: func() int { return 3 }}
	m.world = newWorld(t, func(o *Options) {
		o.Embed = func(_ context.Context, _ *spec.Model, texts []string) ([][]float32, error) {
			m.calls++
			var all [][]float32
			for range texts {
				v := make([]float32, m.length())
				v[0] = 1
				all = append(all, v)
				m.made++
			}
			return all, nil
		}
	})
	m.source = filesSource(t, "docs/**")
	m.source.Embed = model("small")
	return m
}

// search returns the paths that are found, and the notes.
func (m *measured) search() (paths, notes string) {
	m.t.Helper()
	hits, all, err := m.keeper.Search(m.t.Context(), []*spec.KnowledgeSource{m.source}, kb.Query{Text: "alpha", Most: 9})
	if err != nil {
		m.t.Fatal(err)
	}
	var found []string
	for _, h := range hits {
		found = append(found, h.File.Path)
	}
	return strings.Join(found, " "), strings.Join(all, "\n")
}

func (m *measured) dims(want int) {
	m.t.Helper()
	all, err := m.engine.Stats(m.t.Context())
	if err != nil || len(all) != 1 || all[0].Dims != want {
		m.t.Errorf("vectors have %+v numbers, want %d: %v", all, want, err)
	}
}

// A model that another one is served in the place of is met by an update, a search, or whoever brings the source: words are found meanwhile,
// and all vectors are made again, of what is known of the source.
func TestAModelMakesVectorsOfAnotherLength(t *testing.T) {
	m, r := newMeasured(t), newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/b.md": "# Beta\n"}))
	m.keep(here, m.source)
	m.state("docs", Indexed)
	m.dims(3)

	// By an update.
	m.length = func() int { return 4 }
	m.engine.reads()
	here = r.here(r.commit(map[string]string{"docs/c.md": "# Gamma\n"}))
	m.keep(here, m.source)
	equal(t, "the commit", m.state("docs", Indexed).Commit, here.Commit)
	equal(t, "what is read, once before it is known and once again", m.engine.reads(), "docs/c.md docs/c.md")
	m.dims(4)
	paths, notes := m.search()
	equal(t, "found", paths, "docs/a.md docs/b.md docs/c.md")
	equal(t, "the notes", notes, "")

	// By a search, long after, where nothing changes any more.
	m.later(2 * calm)
	m.length = func() int { return 5 }
	const note = "the model small makes vectors of another length than those of docs, so that is searched without it until they are made again"
	for range 2 {
		paths, notes = m.search()
		equal(t, "found by words", paths, "docs/a.md")
		equal(t, "the notes", notes, note)
	}
	says(t, m.state("docs", SourceUnavailable).Message, "it is found by its words alone, for its model small makes vectors of different lengths",
		"which are made again", "`mainstay lock`", "spec.embed in knowledge/docs.yaml")
	m.keep(here, m.source)
	m.state("docs", Indexed)
	m.dims(5)
	paths, notes = m.search()
	equal(t, "found", paths, "docs/a.md docs/b.md docs/c.md")
	equal(t, "the notes", notes, "")
	equal(t, "what is read", m.engine.reads(), "")

	// By whoever brings it.
	m.length = func() int { return 6 }
	m.bring(m.source, here, Indexed)
	m.dims(6)
	made := m.made
	m.bring(m.source, here, Indexed)
	if m.made != made+1 {
		t.Errorf("%d vectors are made of what is as it was", m.made-made)
	}
}

// Where the model is down when it is seen that it is another one, words are found, of what is there now.
func TestAModelMakesVectorsOfAnotherLengthAndEnds(t *testing.T) {
	m, r := newMeasured(t), newRepository(t)
	m.keep(r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n"})), m.source)
	embed, down := m.opts.Embed, false
	m.keeper.opts.Embed = func(ctx context.Context, s *spec.Model, texts []string) ([][]float32, error) {
		if down {
			return nil, fmt.Errorf("connection refused")
		}
		down = true
		return embed(ctx, s, texts)
	}
	m.length = func() int { return 4 }
	here := r.here(r.commit(map[string]string{"docs/a.md": "", "docs/b.md": "# Alpha\n"}))
	m.keep(here, m.source)
	says(t, m.state("docs", SourceUnavailable).Message, "does not answer: connection refused")
	paths, notes := m.search()
	equal(t, "found", paths, "docs/b.md")
	says(t, notes, "docs is found by its words alone, until its model answers")

	// So are those of the next commit, while it is down.
	here = r.here(r.commit(map[string]string{"docs/b.md": "", "docs/c.md": "# Alpha\n"}))
	m.keep(here, m.source)
	m.state("docs", SourceUnavailable)
	paths, _ = m.search()
	equal(t, "found", paths, "docs/c.md")
	m.keeper.opts.Embed = embed
	m.later(maxRetry)
	m.keep(here, m.source)
	m.state("docs", Indexed)
	m.dims(4)
}

// A model that makes vectors of any length is told, and asked less and less often.
func TestAModelMakesVectorsOfDifferentLengths(t *testing.T) {
	const most = 30 // 5 s doubled up to 10 minutes, and the rest of two hours.
	for name, lengths := range map[string]func(m *measured) func() int{
		"each time": func(m *measured) func() int { return func() int { return 3 + m.made%3 } },
		// What is made at once is of one length, so that all is well until the next question.
		"now and then": func(m *measured) func() int {
			return func() int { return 3 + rand.New(rand.NewPCG(uint64(m.calls), 1)).IntN(2) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, r := newMeasured(t), newRepository(t)
			here := r.here(r.commit(map[string]string{"docs/a.md": "# Alpha\n", "docs/b.md": "# Beta\n", "docs/c.md": "# Gamma\n"}))
			m.length = lengths(m)
			states := map[string]int{}
			for range 2 * 3600 / 5 {
				m.keep(here, m.source)
				if paths, _ := m.search(); !strings.HasPrefix(paths, "docs/a.md") {
					t.Fatalf("found %q", paths)
				}
				s, _ := m.keeper.State("docs")
				states[s.Reason]++
				if s.Reason != Indexed {
					says(t, s.Message, "its model small makes vectors of different lengths: ", "`mainstay lock`")
				}
				m.later(5 * time.Second)
			}
			t.Logf("%d updates, %v", m.engine.updates, states)
			if m.engine.updates > 3*most || states[SourceUnavailable] < states[Indexed] {
				t.Errorf("%d updates, and it is %v", m.engine.updates, states)
			}
			// It is over when it is over.
			m.length = func() int { return 3 }
			m.later(maxRetry)
			m.keep(here, m.source)
			m.search()
			m.later(maxRetry)
			m.keep(here, m.source)
			m.state("docs", Indexed)
			m.dims(3)
			paths, notes := m.search()
			equal(t, "found", paths, "docs/a.md docs/b.md docs/c.md")
			equal(t, "the notes", notes, "")
		})
	}
}
