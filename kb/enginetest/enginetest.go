// Package enginetest is the suite that every kb.Engine passes. Engines may rank differently in detail; what is the same for all of them is
// what is tested here: what is found and what is not, that updates are whole, and that sources do not shape one another's answers.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
)

// Tolerance is how much scores may differ that are the same, between engines and between ways to the same content.
const Tolerance = 1e-3

// Run runs the suite. open returns an engine that has nothing; it is closed by the suite.
func Run(t *testing.T, open func(t testing.TB) kb.Engine) {
	for name, test := range map[string]func(*testing.T, func(testing.TB) kb.Engine){
		"update":        testUpdate,
		"refused":       testRefused,
		"incremental":   testIncremental,
		"format":        testFormat,
		"failures":      testFailures,
		"problems":      testProblems,
		"filters":       testFilters,
		"order":         testOrder,
		"vectors":       testVectors,
		"spaces":        testSpaces,
		"lengths":       testLengths,
		"hostile text":  testHostileText,
		"hostile names": testHostileNames,
		"closed":        testClosed,
		"concurrent":    testConcurrent,
		"any history":   testAnyHistory,
		"visibility":    testVisibility,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// corpus are the files of a source, by path. It makes the updates to itself and counts what they read.
type corpus struct {
	source string
	files  map[string]string
	mu     sync.Mutex
	reads  []string
	// fail fails a Read of that path.
	fail string
}

func blob(text string) string {
	h := fnv.New64a()
	h.Write([]byte(text))
	return fmt.Sprintf("%016x", h.Sum64())
}

// day is the time of the files whose path ends in that many letters.
func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func file(path, text string) kb.File {
	f := kb.File{Path: path, Blob: blob(text)}
	if !strings.HasPrefix(path, "timeless") {
		f.Time = day(len(path))
	}
	return f
}

// document is a file's: its first line is the title, and each paragraph a chunk. The ending of the path is its kind.
func document(path, text string) kb.Document {
	d := kb.Document{Kind: kb.KindText}
	if problem, broken := strings.CutPrefix(text, "broken: "); broken {
		d.Problem = problem
		return d
	}
	if strings.HasSuffix(path, ".md") {
		d.Kind = kb.KindMarkdown
	}
	line := 1
	for i, p := range strings.Split(text, "\n\n") {
		lines := strings.Count(p, "\n") + 1
		switch {
		case i == 0 && strings.HasPrefix(p, "# "):
			d.Title = p[2:]
		case p != "":
			c := kb.Chunk{First: line, Last: line + lines - 1, Text: p}
			if d.Title != "" {
				c.Heading = []string{d.Title, fmt.Sprint("part ", i)}
			}
			d.Chunks = append(d.Chunks, c)
		}
		line += lines + 1
	}
	return d
}

func (c *corpus) read(_ context.Context, f kb.File) (kb.Document, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Path == c.fail {
		return kb.Document{}, errRead
	}
	c.reads = append(c.reads, f.Path)
	return document(f.Path, c.files[f.Path]), nil
}

var errRead = errors.New("the disk is on fire")

// update is the one to a state with these files. A text that is "" is gone.
func (c *corpus) update(from, to string, changes map[string]string) kb.Update {
	u := kb.Update{Source: c.source, From: from, To: to, Format: "1", Read: c.read}
	for path, text := range changes {
		if text == gone {
			delete(c.files, path)
			u.Removed = append(u.Removed, path)
			continue
		}
		if c.files == nil {
			c.files = map[string]string{}
		}
		c.files[path] = text
		u.Put = append(u.Put, file(path, text))
	}
	return u
}

// whole is the update to a state with all files that there are.
func (c *corpus) whole(to string) kb.Update {
	u := kb.Update{Source: c.source, To: to, Format: "1", Read: c.read}
	for path, text := range c.files {
		u.Put = append(u.Put, file(path, text))
	}
	return u
}

// gone is the text of a file that is no more.
const gone = "\x00gone"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func apply(t testing.TB, e kb.Engine, u kb.Update) {
	t.Helper()
	must(t, e.Update(t.Context(), u))
}

func opened(t testing.TB, open func(testing.TB) kb.Engine) kb.Engine {
	e := open(t)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func search(t testing.TB, e kb.Engine, q kb.Query) []kb.Hit {
	t.Helper()
	if q.Most == 0 {
		q.Most = kb.MaxHits
	}
	hits, err := e.Search(t.Context(), q)
	must(t, err)
	for i, h := range hits {
		if !(h.Score >= 0 && h.Score <= 1+Tolerance) || i > 0 && h.Score > hits[i-1].Score {
			t.Fatalf("hit %d has score %v after %v", i, h.Score, hits[max(i-1, 0)].Score)
		}
	}
	return hits
}

// paths are those of hits, the best ones first.
func paths(hits []kb.Hit) string {
	var all []string
	for _, h := range hits {
		all = append(all, h.File.Path)
	}
	return strings.Join(all, " ")
}

func words(text string, sources ...string) kb.Query {
	return kb.Query{Text: text, Sources: sources, WordsOnly: true}
}

func state(t testing.TB, e kb.Engine, source, want string) {
	t.Helper()
	got, err := e.State(t.Context(), source)
	must(t, err)
	if got != want {
		t.Fatalf("source %s is in state %q, want %q", source, got, want)
	}
}

// same reports the first difference of hits whose scores may differ a little.
func same(got, want []kb.Hit) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d hits, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if math.Abs(g.Score-w.Score) > Tolerance {
			return fmt.Errorf("hit %d is %s with %v, want %s with %v", i, g.File.Path, g.Score, w.File.Path, w.Score)
		}
	}
	return nil
}
