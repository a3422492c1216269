package related_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/beir"
	"github.com/mainstay-dev/mainstay/kb/disk"
	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/kb/ingest"
	"github.com/mainstay-dev/mainstay/kb/related"
)

// questions reads what a person has asked about a repository: a question on each line, and after tabs the files that answer it, each
// with its grade.
func questions(t *testing.T, name string) *beir.Collection {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &beir.Collection{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if s.Text() == "" || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		fields := strings.Split(s.Text(), "\t")
		q := beir.Question{Text: fields[0], Right: map[string]int{}}
		for _, right := range fields[1:] {
			grade, path, _ := strings.Cut(right, " ")
			n, err := strconv.Atoi(grade)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, right, err)
			}
			q.Right[path] = n
		}
		c.Questions = append(c.Questions, q)
	}
	return c
}

// taken puts a folder in an engine and in a graph.
func taken(t *testing.T, files fs.FS) (*disk.Engine, related.Graph) {
	t.Helper()
	e, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	g := related.Graph{Sources: []string{"it"}, Graph: graph.New()}
	u := kb.Update{Source: "it", To: "1", Format: ingest.Options{}.Format()}
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(name, ".git/") || ingest.Skip(name) != "" {
			return err
		}
		u.Put = append(u.Put, kb.File{Path: name, Blob: name})
		if graph.Reads(name) {
			data, err := fs.ReadFile(files, name)
			if err != nil {
				return err
			}
			g.Put(graph.Extract(name, data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	u.Read = func(ctx context.Context, f kb.File) (kb.Document, error) {
		data, err := fs.ReadFile(files, f.Path)
		if err != nil {
			return kb.Document{}, err
		}
		d, err := ingest.Read(ctx, f.Path, data, ingest.Options{})
		if errors.Is(err, ingest.ErrSkip) {
			return kb.Document{}, nil
		}
		return d, err
	}
	if err := e.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	return e, g
}

// TestRelationsHelp holds what is found with relations against what is found without, on questions that were asked and judged by somebody
// who knew of neither.
func TestRelationsHelp(t *testing.T) {
	data := os.Getenv("MAINSTAY_TEST_DATA")
	if data == "" {
		t.Skip("SKIPPED: MAINSTAY_TEST_DATA names no folder with catalogs, so nobody's questions are asked about real repositories")
	}
	files, err := filepath.Glob("testdata/questions/*.tsv")
	if err != nil || len(files) == 0 {
		t.Fatal("no questions", err)
	}
	sum, n := beir.Result{}, 0
	for _, name := range files {
		repository := strings.TrimSuffix(filepath.Base(name), ".tsv")
		e, g := taken(t, os.DirFS(filepath.Join(data, "catalogs", repository)))
		c := questions(t, name)
		asked := func(graphs ...related.Graph) beir.Result {
			return c.Measure(func(q beir.Question) []string {
				return paths(search(t, e, kb.Query{Text: q.Text, Most: beir.Depth}, graphs...))
			})
		}
		without, with := asked(), asked(g)
		t.Logf("%s: nDCG@10 %.3f and recall@10 %.3f without relations, %.3f and %.3f with them", repository, without.NDCG10, without.Recall10, with.NDCG10, with.Recall10)
		if with.NDCG10 < without.NDCG10-.005 || with.Recall10 < without.Recall10-.005 {
			t.Errorf("%s: relations do harm", repository)
		}
		n += len(c.Questions)
		sum.NDCG10 += float64(len(c.Questions)) * (with.NDCG10 - without.NDCG10)
		sum.Recall10 += float64(len(c.Questions)) * (with.Recall10 - without.Recall10)
	}
	if gain, recall := sum.NDCG10/float64(n), sum.Recall10/float64(n); gain < .02 || recall < .025 {
		t.Errorf("relations bring %.3f nDCG@10 and %.3f recall@10 over %d questions, want .020 and .025", gain, recall, n)
	}
}

var shop = fstest.MapFS{
	"services/basket.yaml":  {Data: []byte(component("basket", "a place for what one is about to buy", "payments-api"))},
	"services/billing.yaml": {Data: []byte("apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: payments-api\n  description: takes money\nspec:\n  type: grpc\n  owner: treasury\n")},
	"services/search.yaml":  {Data: []byte(component("search", "finds goods", "index-api"))},
	"docs/basket.md":        {Data: []byte("# The basket\n\nIt is emptied after thirty days.\n")},
}

func component(name, description, consumes string) string {
	return "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: " + name + "\n  description: " + description +
		"\nspec:\n  type: service\n  owner: shop\n  consumesApis: [" + consumes + "]\n"
}

func TestWhatAHitNeedsIsFoundWithIt(t *testing.T) {
	e, g := taken(t, shop)
	q := kb.Query{Text: "basket", Most: 10}
	if got := paths(search(t, e, q)); slices.Contains(got, "services/billing.yaml") {
		t.Fatalf("words alone find %v, so that this test shows nothing", got)
	}
	hits := search(t, e, q, g)
	i := slices.Index(paths(hits), "services/billing.yaml")
	if i < 1 {
		t.Fatalf("found %v, want what the basket needs, behind the basket", paths(hits))
	}
	if h := hits[i]; h.State != "1" || h.Kind != kb.KindCatalog || h.First != 1 || h.Score <= 0 || h.Score > hits[0].Score || hits[0].Score > 1 {
		t.Errorf("the hit is %+v, and the first has %v", h, hits[0].Score)
	}
	if slices.Contains(paths(hits), "services/search.yaml") {
		t.Errorf("found %v, of which one has nothing to do with it", paths(hits))
	}
}

func TestARelationBringsNothingThatTheQueryLeavesOut(t *testing.T) {
	e, g := taken(t, shop)
	for name, change := range map[string]func(*kb.Query){
		"paths":  func(q *kb.Query) { q.Filter.Paths = []string{"services/b?sket.yaml"} },
		"kinds":  func(q *kb.Query) { q.Filter.Kinds = []kb.Kind{kb.KindMarkdown} },
		"time":   func(q *kb.Query) { q.Filter.Since = time.Unix(1, 0) },
		"one":    func(q *kb.Query) { q.Most = 1 },
		"none":   func(q *kb.Query) { q.Most = 0 },
		"others": func(q *kb.Query) { q.Sources = []string{"other"} },
	} {
		q := kb.Query{Text: "basket", Most: 10}
		change(&q)
		if got := search(t, e, q, g); slices.Contains(paths(got), "services/billing.yaml") || len(got) > q.Most {
			t.Errorf("%s: found %v", name, paths(got))
		}
	}
	// Where the graph's file is of a source that is not asked, it stays away as well.
	other := kb.Update{Source: "other", To: "1", Put: []kb.File{{Path: "services/basket.yaml", Blob: "1"}}, Read: func(context.Context, kb.File) (kb.Document, error) {
		return kb.Document{Kind: kb.KindText, Chunks: []kb.Chunk{{First: 1, Last: 9, Text: "basket"}}}, nil
	}}
	if err := e.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	g.Sources = append(g.Sources, "other")
	if got := search(t, e, kb.Query{Text: "basket", Most: 10, Sources: []string{"other"}}, g); len(got) != 1 || got[0].Source != "other" {
		t.Errorf("found %+v", got)
	}
}

func search(t *testing.T, e kb.Engine, q kb.Query, graphs ...related.Graph) []kb.Hit {
	t.Helper()
	if q.Sources == nil {
		q.Sources = []string{"it"}
	}
	hits, err := related.Search(t.Context(), e, q, graphs)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func paths(hits []kb.Hit) []string {
	all := make([]string, len(hits))
	for i, h := range hits {
		all[i] = h.File.Path
	}
	return all
}
