package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
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
	Folder string `json:"folder"`
	// Judgements is the file of it that says what is right.
	Judgements string `json:"judgements"`
	Documents  int    `json:"documents"`
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
			"right. A collection is a folder in the layout of BEIR: corpus.jsonl, queries.jsonl, and the judgements in qrels/test.tsv,\n" +
			"qrels.tsv or qrels/dev.tsv, or these as packed by gzip. Numbers are those of trec_eval. All is in memory; no model is asked,\n" +
			"and nothing is kept. A document that is the question itself, with the same id and text, is no answer to it.",
		Example: "  mainstay kb eval cranfield\n" +
			"  mainstay kb eval scifact nfcorpus -o json",
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, folders []string) error {
			t := table{header: []string{"COLLECTION", "DOCUMENTS", "QUESTIONS", "NDCG@10", "RECALL@10", "RECALL@100", "MRR@10", "INDEXED", "ASKED"}}
			all := []collection{}
			var failed error
			for _, folder := range folders {
				c, err := measure(cmd, folder, env.clock())
				if err != nil {
					failed = fmt.Errorf("collection %s: %w", folder, err)
					break
				}
				all = append(all, c)
				t.rows = append(t.rows, []string{c.Folder, fmt.Sprint(c.Documents), fmt.Sprint(c.Questions), fmt.Sprintf("%.4f", c.NDCG10),
					fmt.Sprintf("%.4f", c.Recall10), fmt.Sprintf("%.4f", c.Recall100), fmt.Sprintf("%.4f", c.MRR10),
					c.Indexed.Round(time.Millisecond).String(), c.Asked.Round(time.Microsecond).String()})
			}
			if failed != nil && len(all) == 0 {
				return failed
			}
			t.items = all
			return errors.Join(t.print(cmd.OutOrStdout(), output), failed) // What was measured before took its time.
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func measure(cmd *cobra.Command, folder string, now func() time.Time) (collection, error) {
	ctx := cmd.Context()
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
	p := newProgress(cmd, folder)
	defer p.end()
	began := now()
	unknown, asking := map[string]bool{}, map[string]beir.Question{}
	for _, q := range from.Questions {
		asking[q.ID] = q
		for id := range q.Right {
			unknown[id] = true
		}
	}
	right := len(unknown)
	themselves := map[string]bool{}
	b := index.NewBuilder()
	n := 0
	for d, err := range from.Documents() {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return collection{}, err
		}
		b.Add(index.Document{ID: d.ID, Title: d.Title, Text: d.Text})
		delete(unknown, d.ID)
		if q, ok := asking[d.ID]; ok && q.Asks(d) {
			themselves[d.ID] = true
		}
		if n++; n%1000 == 0 {
			p.tell("", fmt.Sprintf("%d documents are read", n), 0, true)
		}
	}
	if n == 0 {
		return collection{}, errors.New("corpus.jsonl has no document")
	}
	if len(unknown) == right {
		return collection{}, fmt.Errorf("%s names no document that is in corpus.jsonl: it belongs to another collection", from.Judgements)
	}
	p.tell("", fmt.Sprintf("meaning is learned of %d documents", n), 0, true)
	// Building cannot be stopped. Nothing is kept, so it need not be: the process ends.
	built := make(chan *index.Index, 1)
	go func() { built <- b.Build() }()
	var x *index.Index
	select {
	case x = <-built:
	case <-ctx.Done():
		return collection{}, ctx.Err()
	}
	c := collection{Folder: folder, Judgements: from.Judgements, Documents: x.Len(), Indexed: now().Sub(began)}
	began = now()
	n = 0
	c.Result = from.Measure(func(q beir.Question) []string {
		if ctx.Err() != nil {
			return nil
		}
		if n++; n%10 == 0 {
			p.tell("", fmt.Sprintf("%d of %d questions are asked", n, len(from.Questions)), 0, true)
		}
		var ids []string
		for _, h := range x.Search(q.Text, beir.Depth+1) { // One more, for the question itself.
			if h.ID != q.ID || !themselves[q.ID] {
				ids = append(ids, h.ID)
			}
		}
		return ids
	})
	c.Asked = now().Sub(began) / time.Duration(c.Questions)
	p.end()
	note := func(format string, args ...any) {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s: %s\n", inLine(folder), fmt.Sprintf(format, args...))
	}
	if from.Judgements == "qrels/dev.tsv" {
		note("the judgements are those of qrels/dev.tsv, for there is no qrels/test.tsv")
	}
	if len(unknown) > 0 {
		note("%d of the %d documents that are right are not in corpus.jsonl, such as %q; they count as not found", len(unknown), right, slices.Min(slices.Collect(maps.Keys(unknown))))
	}
	if len(from.Unknown) > 0 {
		note("%d of the questions that %s judges are not in queries.jsonl, such as %q; they do not count", len(from.Unknown), from.Judgements, from.Unknown[0])
	}
	return c, ctx.Err()
}
