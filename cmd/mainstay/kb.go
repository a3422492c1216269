package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb/beir"
	"github.com/mainstay-dev/mainstay/kb/index"
)

func newKB(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kb",
		Short: "Find what the declared knowledge sources say, and measure how well it is found",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKBIndex(env), newKBSearch(env), newKBStats(env), newKBGraph(env), newKBEval(env))
	return cmd
}

// collection is what was measured of one.
type collection struct {
	Folder    string `json:"folder"`
	Documents int    `json:"documents"`
	beir.Result
	// Indexed and Asked are how long the index took, and a question on average.
	Indexed time.Duration `json:"indexedNanoseconds"`
	Asked   time.Duration `json:"askedNanoseconds"`
}

func newKBEval(env environment) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "eval DIR...",
		Short: "Measure how well the right documents of collections are found",
		Long: "Index the documents of a collection, ask all of its questions, and compare what is found with what people have judged to be\n" +
			"right. A collection is a folder in the layout of BEIR: corpus.jsonl, queries.jsonl, and the judgements in qrels/test.tsv or\n" +
			"qrels.tsv. All is in memory; no model is asked, and nothing is kept.",
		Example: "  mainstay kb eval cranfield\n" +
			"  mainstay kb eval scifact nfcorpus -o json",
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, folders []string) error {
			t := table{header: []string{"COLLECTION", "DOCUMENTS", "QUESTIONS", "NDCG@10", "RECALL@10", "RECALL@100", "MRR@10", "INDEXED", "ASKED"}}
			all := []collection{}
			for _, folder := range folders {
				c, err := measure(folder, env.clock())
				if err != nil {
					return fmt.Errorf("collection %s: %w", folder, err)
				}
				all = append(all, c)
				t.rows = append(t.rows, []string{c.Folder, fmt.Sprint(c.Documents), fmt.Sprint(c.Questions), fmt.Sprintf("%.4f", c.NDCG10),
					fmt.Sprintf("%.4f", c.Recall10), fmt.Sprintf("%.4f", c.Recall100), fmt.Sprintf("%.4f", c.MRR10),
					c.Indexed.Round(time.Millisecond).String(), c.Asked.Round(time.Microsecond).String()})
			}
			t.items = all
			return t.print(cmd.OutOrStdout(), output)
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func measure(folder string, now func() time.Time) (collection, error) {
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no folder")
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("there is no such folder")
	}
	if err != nil {
		return collection{}, fmt.Errorf("%w: give one with corpus.jsonl, queries.jsonl and qrels/test.tsv", err)
	}
	from, err := beir.Open(os.DirFS(folder))
	if err != nil {
		return collection{}, err
	}
	began := now()
	b := index.NewBuilder()
	for d, err := range from.Documents() {
		if err != nil {
			return collection{}, err
		}
		b.Add(index.Document{ID: d.ID, Title: d.Title, Text: d.Text})
	}
	x := b.Build()
	c := collection{Folder: folder, Documents: x.Len(), Indexed: now().Sub(began)}
	began = now()
	c.Result = from.Measure(func(q beir.Question) []string {
		var ids []string
		for _, h := range x.Search(q.Text, beir.Depth) {
			ids = append(ids, h.ID)
		}
		return ids
	})
	c.Asked = now().Sub(began) / time.Duration(c.Questions)
	return c, nil
}
