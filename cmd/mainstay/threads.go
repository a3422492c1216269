package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

func newThreads() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "threads",
		Short: "List, show and delete conversations with agents",
		Long: "The threads of `mainstay chat` and `mainstay ask --thread`, as the state folder keeps them. A thread ends when the\n" +
			"store forgets its last run, by spec.store.retention of the Fleet or to make room.",
	}
	cmd.AddCommand(newThreadsList(), newThreadsShow(), newThreadsDelete())
	return cmd
}

// threadKeeper asks the daemon of a state folder about threads, or opens the folder where none runs.
type threadKeeper struct {
	dir    string
	client *serve.Client
}

func findThreads(state string) (*threadKeeper, error) {
	dir, err := findState(state)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "store")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no state yet; `mainstay run` and `mainstay chat` write it", dir)
	}
	path, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	return &threadKeeper{dir: dir, client: serve.Dial(path)}, nil
}

// do asks the daemon, or else uses the store. A daemon that is just starting or ending does neither, which passes.
func (k *threadKeeper) do(ctx context.Context, ask func(c *serve.Client) error, use func(st *store.Store) error) error {
	var st *store.Store
	err := whileLocked(ctx, func() error {
		err := ask(k.client)
		if !errors.Is(err, serve.ErrNotServing) {
			return err
		}
		st, err = store.Open(ctx, store.Options{Dir: filepath.Join(k.dir, "store")})
		return err
	})
	if st != nil {
		err = errors.Join(use(st), st.Close())
	}
	return inUse(err)
}

func newThreadsList() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the threads, the one that was used last first",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := findThreads(state)
			if err != nil {
				return err
			}
			var list []reconciler.ThreadStatus
			err = k.do(cmd.Context(), func(c *serve.Client) error { return c.Threads(cmd.Context(), &list) }, func(st *store.Store) (err error) {
				list, err = reconciler.Threads(cmd.Context(), st)
				return err
			})
			if err != nil {
				return err
			}
			return threadTable(list, time.Now()).print(cmd.OutOrStdout(), output)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}

func threadTable(list []reconciler.ThreadStatus, now time.Time) table {
	t := table{header: []string{"THREAD", "AGENT", "STATE", "MESSAGES", "LAST USE", "REVISION"}, items: list}
	for _, s := range list {
		t.rows = append(t.rows, []string{string(s.ID), string(s.Agent), s.State, fmt.Sprint(s.Messages), since(now, s.Used), s.Revision.Short()})
	}
	return t
}

func newThreadsShow() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "show THREAD",
		Short: "Show what was said in a thread, and in which runs",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := findThreads(state)
			if err != nil {
				return err
			}
			var said reconciler.Thread
			err = k.do(cmd.Context(), func(c *serve.Client) error { return c.Thread(cmd.Context(), args[0], &said) }, func(st *store.Store) (err error) {
				said, err = reconciler.ReadThread(cmd.Context(), st, spec.ThreadID(args[0]))
				return err
			})
			if err != nil {
				return noThread(args[0], err)
			}
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, said)
			}
			return showThread(visible{cmd.OutOrStdout()}, said)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}

func noThread(id string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no thread %q; `mainstay threads list` lists them", id)
	}
	return err
}

// showThread prints a conversation. Both sides are indented alike, so that what is said cannot pose as another message.
func showThread(w io.Writer, said reconciler.Thread) error {
	if _, err := fmt.Fprintf(w, "Thread %s with %s, begun %s, %s\n", said.ID, said.Agent, said.Created.UTC().Format(time.DateTime), messages(said.Messages)); err != nil {
		return err
	}
	for _, turn := range said.Turns {
		if turn.Left > 0 {
			fmt.Fprintf(w, "\n(from here on %s is shown less than all of this)\n", said.Agent)
		}
		fmt.Fprintf(w, "\n%s  run %s at %s\n%s\n", turn.At.UTC().Format(time.DateTime), turn.Run, turn.Revision.Short(), indent(turn.Said, "    > "))
		if _, err := fmt.Fprint(w, indent(became(turn), "    ")); err != nil {
			return err
		}
	}
	return nil
}

// became says what has become of a message.
func became(turn reconciler.ThreadTurn) string {
	switch {
	case turn.Phase == spec.PhaseSucceeded:
		return turn.Answer
	case turn.Failure != "":
		return "(no answer: " + turn.Failure + ")"
	case len(turn.Waiting) > 0:
		text := "(waits for a review:"
		for _, key := range turn.Waiting {
			text += " mainstay proposals show " + string(key)
		}
		return text + ")"
	}
	return "(no answer yet)"
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func newThreadsDelete() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "delete THREAD",
		Short: "Delete a thread and the records of its runs",
		Long: "Delete a thread and the records of its runs. What they have proposed and what was executed is in Git, and stays. A\n" +
			"thread whose run is under way or waits for a review is not deleted.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := findThreads(state)
			if err != nil {
				return err
			}
			err = k.do(cmd.Context(), func(c *serve.Client) error { return c.DeleteThread(cmd.Context(), args[0]) }, func(st *store.Store) error {
				return reconciler.DeleteThread(cmd.Context(), st, spec.ThreadID(args[0]), false)
			})
			if err != nil {
				return noThread(args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "deleted thread %s\n", args[0])
			return err
		},
	}
	addStateFlag(cmd, &state)
	return cmd
}
