package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/spec"
)

// hitRow is a chunk that was found, as programs see it.
type hitRow struct {
	Source  string    `json:"source"`
	Path    string    `json:"path"`
	First   int       `json:"firstLine,omitempty"`
	Last    int       `json:"lastLine,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	Kind    kb.Kind   `json:"kind"`
	Heading []string  `json:"heading,omitempty"`
	Score   float64   `json:"score"`
	Changed time.Time `json:"changed,omitzero"`
	Text    string    `json:"text"`
}

func newKBSearch(env environment) *cobra.Command {
	var (
		flags   kbFlags
		agent   string
		output  string
		since   string
		q       kb.Query
		kinds   []string
		labels  map[string]string
		sources []string
		stale   bool
	)
	cmd := &cobra.Command{
		Use:   "search QUESTION",
		Short: "Find what the declared knowledge sources say about a question",
		Long: "Find the pieces of documents that are about a question, the best ones first, with where they stand: source, path, lines and\n" +
			"commit. The index is brought up to date first, which reads what has changed. With --agent the search sees what that agent sees.",
		Example: "  mainstay kb search \"how do I roll back a deployment\"\n" +
			"  mainstay kb search --agent triage --kind markdown --file 'runbooks/**' disk full",
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, words []string) (err error) {
			if q.Most < 1 || q.Most > kb.MaxHits {
				return usageError{fmt.Errorf("--limit %d is out of range: use 1 to %d", q.Most, kb.MaxHits)}
			}
			if q.Text = strings.TrimSpace(strings.Join(words, " ")); q.Text == "" {
				return usageError{errors.New("the question is empty: say what to look for, as in mainstay kb search \"how do I roll back a deployment\"")}
			}
			for _, k := range kinds {
				if !slices.Contains(kb.Kinds, kb.Kind(k)) {
					return usageError{fmt.Errorf("unknown kind %q: use some of %v", k, kb.Kinds)}
				}
				q.Filter.Kinds = append(q.Filter.Kinds, kb.Kind(k))
			}
			if since != "" {
				if q.Filter.Since, err = time.Parse(time.DateOnly, since); err != nil {
					return usageError{fmt.Errorf("--since %s is not a day: write it as 2006-01-02", since)}
				}
			}
			for _, glob := range q.Filter.Paths {
				if !doublestar.ValidatePattern(glob) {
					return usageError{fmt.Errorf("--file %q is not a glob over paths from the root, such as docs/**", glob)}
				}
			}
			l, err := flags.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.done()) }()
			if err := l.known(sources); err != nil {
				return err
			}
			seen, err := l.seenBy(agent)
			if err != nil {
				return err
			}
			if !stale {
				states, err := l.bring(cmd, sources)
				if err != nil {
					return err
				}
				for _, name := range slices.Sorted(maps.Keys(states)) {
					tellSource(cmd, name, states[name], false)
				}
			}
			q.Sources, q.Filter.Labels = sources, labels
			hits, notes, err := l.keeper.Search(cmd.Context(), seen, q)
			if err != nil {
				return err
			}
			if stale { // What is not up to date is what was asked for.
				var asked []string
				for _, s := range seen {
					if len(sources) == 0 || slices.Contains(sources, s.Name) {
						asked = append(asked, s.Name)
					}
				}
				notes = nil
				if err := l.tellMissing(cmd, asked, "search without --no-update, or run `mainstay kb index`"); err != nil {
					return err
				}
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), n)
			}
			return printHits(cmd.OutOrStdout(), output, hits)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&agent, "agent", "", "search what this `agent` may search")
	cmd.Flags().StringSliceVar(&sources, "source", nil, "search these `sources` (default: all)")
	cmd.Flags().StringArrayVar(&q.Filter.Paths, "file", nil, "search files that match one of these `globs`, such as docs/** or {docs,runbooks}/**; may be given several times")
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "search documents of these `kinds`")
	cmd.Flags().StringToStringVar(&labels, "label", nil, "search sources with these labels, as `name=value`")
	cmd.Flags().StringVar(&since, "since", "", "search documents changed since this `day`, as 2006-01-02")
	cmd.Flags().IntVar(&q.Most, "limit", 5, "how many pieces are shown, up to `number`")
	cmd.Flags().BoolVar(&q.WordsOnly, "words", false, "rank by words alone")
	cmd.Flags().BoolVar(&stale, "no-update", false, "search the index as it is")
	addOutputFlag(cmd, &output)
	return cmd
}

// inLine is a name that others have chosen, as a person sees it in a line: it cannot begin another one.
func inLine(name string) string {
	return strings.NewReplacer("\n", "\uFFFD", "\t", "\uFFFD").Replace(spec.Visible(name))
}

// maxShown is how many lines of a chunk a person is shown.
const maxShown = 12

// printHits shows what was found.
func printHits(out io.Writer, output string, hits []kb.Hit) error {
	if output != "" {
		rows := []hitRow{}
		for _, h := range hits {
			rows = append(rows, hitRow{h.Source, h.File.Path, h.First, h.Last, h.State, h.Kind, h.Heading, h.Score, h.File.Time, h.Text})
		}
		return printItems(out, output, rows)
	}
	if len(hits) == 0 {
		_, err := fmt.Fprintln(out, "nothing was found")
		return err
	}
	var text strings.Builder
	for i, h := range hits {
		if i > 0 {
			text.WriteString("\n")
		}
		at := h.File.Path
		if h.First > 0 {
			at += fmt.Sprintf(":%d-%d", h.First, h.Last)
		}
		fmt.Fprintf(&text, "%s  (%s %s, %.2f)\n", inLine(at), h.Source, knowledge.Short(h.State), h.Score)
		if len(h.Heading) > 0 {
			fmt.Fprintf(&text, "  %s\n", inLine(strings.Join(h.Heading, " > ")))
		}
		lines := strings.Split(strings.TrimSpace(h.Text), "\n")
		for _, line := range lines[:min(len(lines), maxShown)] {
			fmt.Fprintf(&text, "  | %s\n", spec.Visible(strings.TrimRight(line, " \r")))
		}
		if more := len(lines) - maxShown; more > 0 {
			fmt.Fprintf(&text, "  | … %d more lines\n", more)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
