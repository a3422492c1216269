package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

func newChat(env environment) *cobra.Command {
	var (
		repo   = repoFlags{here: true}
		state  stateFlags
		thread string
	)
	cmd := &cobra.Command{
		Use:   "chat AGENT",
		Short: "Talk with an agent",
		Long: "Talk with an agent, as the branch declares it. Each message is a run, and the agent remembers what was said before in\n" +
			"the thread: the messages and its answers, not what it did on the way there. A run that failed or was cancelled is\n" +
			"forgotten. A message waits until the one before has its answer, and its review where the answer needs one.\n\n" +
			"Ctrl-C cancels the answer under way; Ctrl-D or /exit leaves. The thread is kept in the state folder, and --thread goes\n" +
			"on with it. A daemon that uses the folder does the runs, or else this command. Where stdin is no terminal each line is\n" +
			"a message, and stdout has the answers alone.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := repo.repo
			if cmd.Flags().Changed("thread") && thread == "" {
				return usageError{errors.New("--thread needs an id; leave it out to begin a new thread")}
			}
			t, err := newTalk(cmd, env, repo, state, args[0], spec.ThreadID(thread))
			if err != nil {
				return err
			}
			c := &chat{talk: t, asking: newAsking(cmd, given), interrupts: make(chan os.Signal, 4)}
			t.tell = c.asking.tell
			c.lines = newLines(cmd.InOrStdin(), cmd.ErrOrStderr())
			signal.Notify(c.interrupts, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(c.interrupts)
			// The signal that ends other commands only ends an answer here.
			err = c.run(context.WithoutCancel(cmd.Context()))
			if errors.Is(err, errLeft) {
				c.asking.note("· %v", err)
				err = errSilent
			}
			if c.used {
				c.asking.note("Go on with: %s", t.again(cmd))
			}
			return err
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	state.add(cmd)
	addOwnStateFlag(cmd, &state.dir)
	cmd.Flags().StringVar(&thread, "thread", "", "the `id` of the thread to go on with, or of a new one (default: a new one)")
	return cmd
}

// chat is a conversation in a terminal.
type chat struct {
	*talk
	asking     *asking
	lines      lines
	interrupts chan os.Signal
	// used says that there is something to go on with.
	used bool
}

// lines are what a person says. Read returns io.EOF when the person leaves, or a signal says so.
type lines interface {
	Read(signals <-chan os.Signal) (string, error)
}

// errLeft says that the person left before there was an answer.
var errLeft = errors.New("left before there was an answer; the run is kept, and goes on with the thread")

func (c *chat) run(ctx context.Context) error {
	said, err := c.read(ctx)
	if err != nil {
		return err
	}
	if err := c.greet(said); err != nil {
		return err
	}
	if err := c.goOn(ctx, said); errors.Is(err, errLeft) {
		return err
	}
	var failed error
	for {
		line, err := c.lines.Read(c.interrupts)
		text := strings.TrimSpace(line)
		switch {
		case errors.Is(err, io.EOF) || err == nil && text == "/exit":
			return failed
		case err != nil:
			return fmt.Errorf("read a message: %w", err)
		case text == "":
			continue
		case isWord(line):
			c.asking.note("%s", help(text))
			continue
		}
		err = c.answer(ctx, func(ctx context.Context) (spec.RunSummary, error) { return c.say(ctx, text, c.asking.earlier) })
		if errors.Is(err, errLeft) {
			return err
		}
		if err != nil {
			failed = errSilent // It was told when it happened.
		}
	}
}

// isWord reports whether a line is meant for the chat and not for the agent: a slash and a word.
func isWord(line string) bool {
	word, ok := strings.CutPrefix(strings.TrimRight(line, " \r"), "/")
	return ok && word != "" && !strings.ContainsFunc(word, func(r rune) bool { return r < 'a' || r > 'z' })
}

func help(word string) string {
	text := "/exit leaves. Whatever else you write is said to the agent; begin with a space where it is a slash and a word."
	if word != "/help" {
		text = "There is no " + word + ". " + text
	}
	return text
}

// maxRecalled bounds each message that is shown when a thread goes on, in characters.
const maxRecalled = 1000

// greet says which thread it is, and what was said last.
func (c *chat) greet(said reconciler.Thread) error {
	if said.Agent != "" && said.Agent != c.agent {
		return fmt.Errorf("thread %s is a conversation with agent %s, not with %s: give another --thread", c.thread, said.Agent, c.agent)
	}
	const keys = "Ctrl-C cancels an answer, Ctrl-D or /exit leaves."
	if len(said.Turns) == 0 {
		c.asking.note("Thread %s with %s. %s", c.thread, c.agent, keys)
		return nil
	}
	c.used = true
	c.asking.note("Thread %s with %s, %s so far. %s", c.thread, c.agent, messages(said.Messages), keys)
	for _, turn := range said.Turns[max(len(said.Turns)-2, 0):] {
		c.asking.note("%s", strings.TrimRight(indent(short(turn.Said, maxRecalled), "  > ")+indent(short(became(turn), maxRecalled), "  "), "\n"))
	}
	return nil
}

// goOn takes part in a run of the thread that was not finished.
func (c *chat) goOn(ctx context.Context, said reconciler.Thread) error {
	last := len(said.Turns) - 1
	if last < 0 || said.State == spec.PhaseSucceeded || said.State == spec.PhaseFailed {
		return nil
	}
	if said.State != spec.PhaseWaiting {
		c.asking.note("· run %s has no answer yet, and goes on", said.Turns[last].Run)
	}
	return c.answer(ctx, func(ctx context.Context) (spec.RunSummary, error) {
		summary, ok, err := c.resume(ctx)
		if ok || err != nil || said.State == spec.PhaseWaiting {
			return summary, err
		}
		said, err := c.read(ctx) // It came to its end before it could be followed.
		if last := len(said.Turns) - 1; err == nil && last >= 0 {
			c.asking.note("%s", became(said.Turns[last]))
		}
		return spec.RunSummary{}, err
	})
}

// answer waits for an answer, which the person may cancel, and shows it.
func (c *chat) answer(ctx context.Context, work func(ctx context.Context) (spec.RunSummary, error)) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	type ended struct {
		last spec.RunSummary
		err  error
	}
	done := make(chan ended, 1)
	go func() {
		last, err := work(ctx)
		done <- ended{last, err}
	}()
	cancelled, left := false, false
	for {
		select {
		case signal := <-c.interrupts:
			c.asking.interrupted()
			if cancelled || signal != os.Interrupt {
				left = true
				leave()
				continue
			}
			cancelled = true
			if found, err := c.cancel(ctx); err != nil {
				c.asking.note("mainstay: %v", err)
			} else if !found {
				leave() // It has not begun.
			}
		case e := <-done:
			c.used = c.used || e.last.Run != ""
			return c.ended(e.last, e.err, cancelled, left)
		}
	}
}

// ended shows how an answer ended.
func (c *chat) ended(last spec.RunSummary, err error, cancelled, left bool) error {
	switch {
	case left:
		return errLeft
	case cancelled && (errors.Is(err, context.Canceled) || err == nil && last.Phase == spec.PhaseFailed):
		c.asking.note("· cancelled; the agent forgets the message")
		return nil
	case err == nil && last.Run == "", err == nil && last.Outcome == nil && len(last.Waiting) == 0:
		return nil
	case err == nil:
		err = c.asking.finish(last)
	}
	if err != nil {
		c.asking.note("mainstay: %v", err)
	}
	return err
}
