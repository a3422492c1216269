package index_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/beir"
	"github.com/mainstay-dev/mainstay/kb/index"
)

// TestQuality holds what is found in collections that others have judged. They are where MAINSTAY_TEST_DATA says.
func TestQuality(t *testing.T) {
	data := os.Getenv("MAINSTAY_TEST_DATA")
	if data == "" {
		t.Skip("SKIPPED: MAINSTAY_TEST_DATA is not set, which names the folder of the collections cranfield and npl")
	}
	for name, want := range map[string]float64{"cranfield": .472, "npl": .461} {
		c, err := beir.Open(os.DirFS(filepath.Join(data, "ir", name)))
		if err != nil {
			t.Fatal(err)
		}
		b := index.NewBuilder()
		for d, err := range c.Documents() {
			if err != nil {
				t.Fatal(err)
			}
			b.Add(index.Document{ID: d.ID, Title: d.Title, Text: d.Text})
		}
		x := b.Build()
		r := c.Measure(func(q beir.Question) []string {
			var ids []string
			for _, h := range x.Search(q.Text, beir.Depth) {
				ids = append(ids, h.ID)
			}
			return ids
		})
		t.Logf("%s: %+v", name, r)
		if r.NDCG10 < want {
			t.Errorf("%s: nDCG@10 is %.4f, want %.3f", name, r.NDCG10, want)
		}
	}
}
