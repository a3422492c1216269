// Package bench compares how documents are found here with bleve and with SQLite's FTS5, in one run. It is a module of its own, so that
// neither is a dependency of Mainstay:
//
//	cd kb/bench && go test -bench . -benchtime 1x
//	cd kb/bench && MAINSTAY_TEST_DATA=... go test -v -run Quality
package bench

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/mapping"
	bleveindex "github.com/blevesearch/bleve_index_api"
	_ "modernc.org/sqlite"

	"github.com/mainstay-dev/mainstay/kb/beir"
	"github.com/mainstay-dev/mainstay/kb/enginetest"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// document is what every peer is given: a title, which counts twice, and a text.
type document struct{ ID, Title, Text string }

// peer is one way to find documents.
type peer struct {
	name string
	// fill takes documents in, and returns what finds them.
	fill func(t testing.TB, all []document) (search func(question string, most int) []string)
}

var peers = []peer{
	{"mainstay words", func(t testing.TB, all []document) func(string, int) []string {
		x := ours(all).BuildWords()
		return func(q string, most int) []string { return ids(x.SearchWords(q, most)) }
	}},
	{"mainstay all", func(t testing.TB, all []document) func(string, int) []string {
		x := ours(all).Build()
		return func(q string, most int) []string { return ids(x.Search(q, most)) }
	}},
	{"bleve", fillBleve},
	{"sqlite fts5", fillSQLite},
}

func ours(all []document) *index.Builder {
	b := index.NewBuilder()
	for _, d := range all {
		b.Add(index.Document(d))
	}
	return b
}

func ids(hits []index.Hit) []string {
	var all []string
	for _, h := range hits {
		all = append(all, h.ID)
	}
	return all
}

// fillBleve is bleve with its English analyser and BM25, on disk.
func fillBleve(t testing.TB, all []document) func(string, int) []string {
	field := mapping.NewTextFieldMapping()
	field.Analyzer, field.Store, field.IncludeTermVectors, field.DocValues, field.IncludeInAll = "en", false, false, false, false
	of := mapping.NewDocumentMapping()
	of.AddFieldMappingsAt("Title", field)
	of.AddFieldMappingsAt("Text", field)
	m := bleve.NewIndexMapping()
	m.DefaultMapping, m.ScoringModel = of, bleveindex.BM25Scoring
	// The newest layout of version 2.6.0 fails while it reads back what 100,000 chunks have become; the one before does not.
	x, err := bleve.NewUsing(filepath.Join(t.TempDir(), "bleve"), m, "scorch", "scorch", map[string]any{"forceSegmentType": "zap", "forceSegmentVersion": 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	for some := range slices.Chunk(all, 1000) {
		batch := x.NewBatch()
		for _, d := range some {
			if err := batch.Index(d.ID, map[string]any{"Title": d.Title, "Text": d.Text}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Batch(batch); err != nil {
			t.Fatal(err)
		}
	}
	return func(question string, most int) []string {
		title, text := bleve.NewMatchQuery(question), bleve.NewMatchQuery(question)
		title.SetField("Title")
		title.SetBoost(2)
		text.SetField("Text")
		found, err := x.Search(bleve.NewSearchRequestOptions(bleve.NewDisjunctionQuery(title, text), most, 0, false))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, h := range found.Hits {
			all = append(all, h.ID)
		}
		return all
	}
}

// fillSQLite is SQLite with FTS5, its Porter stemmer and bm25(), on disk.
func fillSQLite(t testing.TB, all []document) func(string, int) []string {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "fts.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	run := func(statement string) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	run("PRAGMA journal_mode = OFF")
	run("PRAGMA synchronous = OFF")
	run("CREATE VIRTUAL TABLE docs USING fts5(id UNINDEXED, title, text, tokenize = 'porter unicode61')")
	for some := range slices.Chunk(all, 10_000) {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		insert, err := tx.Prepare("INSERT INTO docs (id, title, text) VALUES (?, ?, ?)")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range some {
			if _, err := insert.Exec(d.ID, d.Title, d.Text); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	query, err := db.Prepare("SELECT id FROM docs WHERE docs MATCH ? ORDER BY bm25(docs, 0, 2.0, 1.0) LIMIT ?")
	if err != nil {
		t.Fatal(err)
	}
	return func(question string, most int) []string {
		var words []string
		for _, w := range strings.FieldsFunc(question, func(r rune) bool { return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9') }) {
			words = append(words, `"`+w+`"`)
		}
		if len(words) == 0 {
			return nil
		}
		rows, err := query.Query(strings.Join(words, " OR "), most)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			all = append(all, id)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return all
	}
}

// BenchmarkPeers fills each with the same 100,000 chunks of Go's own sources, and asks each the same questions for the ten best.
func BenchmarkPeers(b *testing.B) {
	var all []document
	code := enginetest.Code()
	for _, name := range slices.Sorted(maps.Keys(code)) {
		for i, c := range code[name].Chunks {
			all = append(all, document{fmt.Sprint(name, "#", i), name, c.Text})
		}
	}
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			runtime.GC()
			began, before := time.Now(), enginetest.CPU(b)
			search := p.fill(b, all)
			filled, used := time.Since(began), enginetest.CPU(b)-before
			enginetest.Asked(b, func(q string) { search(q, 10) })
			b.ReportMetric(float64(len(all))/filled.Seconds(), "chunks/s")
			b.ReportMetric(float64(len(all))/used.Seconds(), "chunks/cpu-s")
		})
	}
}

// Ours finds as well as each of the others, by words alone and with all of it, in collections that people have judged.
func TestQualityBesideOthers(t *testing.T) {
	data := os.Getenv("MAINSTAY_TEST_DATA")
	if data == "" {
		t.Skip("SKIPPED: MAINSTAY_TEST_DATA names no collections")
	}
	for _, name := range []string{"cranfield", "npl"} {
		from, err := beir.Open(os.DirFS(filepath.Join(data, "ir", name)))
		if err != nil {
			t.Fatal(err)
		}
		var all []document
		for d, err := range from.Documents() {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, document(d))
		}
		found := map[string]float64{}
		for _, p := range peers {
			search := p.fill(t, all)
			found[p.name] = from.Measure(func(q beir.Question) []string { return search(q.Text, beir.Depth) }).NDCG10
			t.Logf("%-10s %-15s nDCG@10 %.4f", name, p.name, found[p.name])
		}
		for _, other := range []string{"bleve", "sqlite fts5"} {
			if found["mainstay all"] < found[other] {
				t.Errorf("%s: %s finds better", name, other)
			}
		}
	}
}
