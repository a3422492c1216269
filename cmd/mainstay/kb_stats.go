package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
)

func newKBStats(env environment) *cobra.Command {
	var (
		flags  kbFlags
		output string
	)
	cmd := &cobra.Command{
		Use:     "stats",
		Short:   "Show what the index holds of each knowledge source",
		Example: "  mainstay kb stats",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			l, err := flags.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.done()) }()
			all, err := l.keeper.Stats(cmd.Context())
			if err != nil {
				return err
			}
			t := table{header: []string{"SOURCE", "COMMIT", "DOCUMENTS", "CHUNKS", "VECTORS", "NOT READ", "TEXT", "DISK"}}
			rows := []statsRow{}
			for _, s := range all {
				rows = append(rows, statsRow{s.Source, s.State, s.Documents, s.Chunks, s.Vectors, s.Unread, s.Bytes, s.Disk, s.Problems})
				t.rows = append(t.rows, []string{s.Source, knowledge.Short(s.State), fmt.Sprint(s.Documents), fmt.Sprint(s.Chunks), fmt.Sprint(s.Vectors),
					fmt.Sprint(s.Unread), sizeText(s.Bytes), sizeText(s.Disk)})
			}
			if err := l.tellMissing(cmd, slices.Sorted(maps.Keys(l.fleet.Knowledge)), "run `mainstay kb index`"); err != nil {
				return err
			}
			files, err := l.here.History.Snapshot(l.here.Commit)
			if err != nil {
				return err
			}
			globs, err := unmatchedHere(l.fleet, files)
			if err != nil {
				return err
			}
			for _, text := range globs {
				fmt.Fprintln(cmd.ErrOrStderr(), "note: "+text)
			}
			t.items = rows
			return t.print(cmd.OutOrStdout(), output)
		},
	}
	flags.add(cmd)
	addOutputFlag(cmd, &output)
	return cmd
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// statsRow is what the index holds of a source, as programs see it.
type statsRow struct {
	Source    string       `json:"source"`
	Commit    string       `json:"commit,omitempty"`
	Documents int          `json:"documents"`
	Chunks    int          `json:"chunks"`
	Vectors   int          `json:"vectors"`
	Unread    int          `json:"notRead"`
	Bytes     int64        `json:"textBytes"`
	Disk      int64        `json:"diskBytes"`
	Problems  []kb.Problem `json:"problems,omitempty"`
}
