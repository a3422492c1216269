package main

import (
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/transcript"
)

func newRunsShow() *cobra.Command {
	var (
		state, output string
		full          bool
	)
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Tell what a run did and why: what the model was told and said, which rule decided, who approved",
		Long: "Tell a run as a story. RUN is its id, the beginning of one, or `latest`. Of each turn it shows what was new to the model,\n" +
			"what it said, the tools that it called with their results, and which rule decided; of each proposal who decided, and how\n" +
			"long that took. Long texts are cut; --full shows all of them. `mainstay logs` has the record itself, entry by entry.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, entries, err := readRecord(cmd.Context(), state, args[0])
			if err != nil {
				return err
			}
			t := transcript.Read(entries, runs.Summarize(entries))
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, t)
			}
			w := teller{width: width(cmd.OutOrStdout()), full: full}
			_, err = io.WriteString(cmd.OutOrStdout(), w.tell(t))
			return err
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	cmd.Flags().Lookup("output").Usage = "the `format`: json or yaml instead of text"
	cmd.Flags().BoolVar(&full, "full", false, "cut no text, however long it is")
	return cmd
}

// The width of a text, in characters: what it has where there is no terminal, and its bounds.
const (
	usualWidth = 100
	minWidth   = 60
	maxWidth   = 140
)

// width is how wide a text may be on w: as wide as the terminal, or as $COLUMNS says.
func width(w io.Writer) int {
	wide := usualWidth
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		wide = n
	}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			wide = int(size.Col)
		}
	}
	return min(max(wide, minWidth), maxWidth)
}
