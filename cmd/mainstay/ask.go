package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

func newAsk(env environment) *cobra.Command {
	var (
		repo   = repoFlags{here: true}
		state  stateFlags
		thread string
		images []string
	)
	cmd := &cobra.Command{
		Use:   `ask AGENT "TASK"`,
		Short: "Give an agent a task and print its answer",
		Long: "Run one agent here, as the branch declares it, and print its answer; no daemon is needed. What the agent does on the\n" +
			"way is told on stderr, the answer alone is on stdout. What it wants to change becomes a proposal; then the run waits\n" +
			"on the branch mainstay/runs, and whichever reconciler sees the decision finishes it.\n\n" +
			"--image shows a picture to the agent's model, if that can see.\n\n" +
			"With --thread the task is a message of a conversation, which the agent remembers, and the run is kept in the state\n" +
			"folder: a daemon that uses the folder does it, or else this command. `mainstay chat` does the same for many messages.",
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := repo.repo
			if strings.TrimSpace(args[1]) == "" {
				return usageError{errors.New(`the task is empty: say what the agent is to do, as in: mainstay ask ` + args[0] + ` "who are you?"`)}
			}
			shown, err := readImages(images)
			if err != nil {
				return err
			}
			asked := newAsking(cmd, given)
			if len(shown) > 0 && cmd.Flags().Changed("thread") {
				return usageError{errors.New("give --image or --thread, not both: a thread remembers text alone")}
			}
			if cmd.Flags().Changed("thread") {
				t, err := newTalk(cmd, env, repo, state, args[0], spec.ThreadID(thread))
				if err != nil {
					return err
				}
				return askInThread(cmd.Context(), t, asked, args[1])
			}
			if state.dir != "" {
				return usageError{errors.New("--state is of use with --thread only: without one nothing is kept")}
			}
			return askOnce(cmd.Context(), env, repo, state, asked, args, shown)
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	state.add(cmd)
	addOwnStateFlag(cmd, &state.dir)
	cmd.Flags().StringArrayVar(&images, "image", nil, "show the agent's model the PNG, JPEG, WebP or GIF image in `FILE`; for several, repeat it")
	cmd.Flags().StringVar(&thread, "thread", "", "the `id` of the conversation that the task belongs to; a new id begins one")
	return cmd
}

// readImages reads the images that a person attaches. They are looked at and never decoded.
func readImages(files []string) ([]spec.Image, error) {
	var all []spec.Image
	for _, file := range files {
		i, err := readImage(file)
		if err != nil {
			return nil, fmt.Errorf("--image %s: %w", spec.Visible(file), err)
		}
		all = append(all, i)
	}
	return all, spec.CheckImages(all)
}

func readImage(file string) (spec.Image, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return spec.Image{}, errors.New("there is no such file")
	case err == nil && !info.Mode().IsRegular():
		return spec.Image{}, errors.New("it is no file") // A pipe would be waited for, and a device has no end.
	case err != nil:
		return spec.Image{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return spec.Image{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, spec.MaxImage+1))
	if err != nil {
		return spec.Image{}, err
	}
	return spec.NewImage(data)
}

// askOnce runs an agent in a state folder of its own, which is gone afterwards.
func askOnce(ctx context.Context, env environment, repo repoFlags, state stateFlags, asked *asking, args []string, images []spec.Image) (err error) {
	if err := repo.resolve(); err != nil {
		return err
	}
	if err := state.useKept(repo); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mainstay-ask-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	state.dir = dir
	w, err := wire(ctx, env, wiring{repo: repo, state: state, interval: time.Second, travels: true,
		log: slog.New(slog.DiscardHandler), observe: asked.tell, getenv: os.LookupEnv})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx))) }()
	outcome, err := w.Ask(ctx, spec.AgentName(args[0]), args[1], images...)
	if err != nil {
		return err
	}
	return asked.finish(outcome)
}

// askInThread says one thing in a thread. Where ctx ends first, the run is cancelled, so that the thread can go on.
func askInThread(ctx context.Context, t *talk, asked *asking, text string) error {
	t.tell = asked.tell
	working := context.WithoutCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _, _ = t.cancel(working) }) // Where this fails, the run is answered after all.
	defer stop()
	last, err := t.say(working, text, asked.earlier)
	if err != nil {
		return err
	}
	if ctx.Err() != nil && last.Phase == spec.PhaseFailed {
		return ctx.Err()
	}
	return asked.finish(last)
}

// asking shows the progress of one run after another.
type asking struct {
	progress, answer io.Writer
	// same says that both are the same terminal, where an answer that was shown as it came need not be shown again.
	same bool
	// repo is the repository as the person named it, or "".
	repo string

	mu   sync.Mutex
	open bool // the last piece of progress did not end its line
	// beneath holds what agents beneath have said of a line, by run.
	beneath map[spec.RunID]string
	shown   strings.Builder // the text of the model's answer as it came
	held    string          // why the newest revision is not the one that answers, until a run starts
	problem string          // what was told last to have gone wrong; when it happens again it is not told again
}

func newAsking(cmd *cobra.Command, repo string) *asking {
	return &asking{progress: visible{cmd.ErrOrStderr()}, answer: visible{cmd.OutOrStdout()}, repo: repo,
		same: isTerminal(cmd.ErrOrStderr()) && isTerminal(cmd.OutOrStdout())}
}

func (a *asking) tell(e reconciler.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Task.Depth > 0 {
		a.tellBeneath(e)
		return
	}
	switch e.Type {
	case reconciler.Delta:
		fmt.Fprint(a.progress, e.Text)
		a.open = e.Text != "" && e.Text[len(e.Text)-1] != '\n'
		a.shown.WriteString(e.Text)
		return
	case reconciler.Asked:
		if e.Request.Kind == spec.RequestModel {
			a.endLine()
			a.shown.Reset()
		}
		if e.Request.Kind == spec.RequestTool {
			a.endLine()
			fmt.Fprintf(a.progress, "· %s\n", toolCall(e.Request))
		}
	case reconciler.Answered:
		if problem := refused(e); problem != "" {
			a.endLine()
			fmt.Fprintf(a.progress, "· %s\n", problem)
		}
	case reconciler.Proposed:
		a.endLine()
		fmt.Fprintf(a.progress, "· %s: %s\n", proposalName(*e.Proposal), e.Proposal.Title)
	case reconciler.RevisionBroken:
		a.held = fmt.Sprintf("%s is broken, and what was declared before answers: `mainstay get revisions` says why", e.Revision.Short())
		if len(e.Problems) > 0 {
			a.held = fmt.Sprintf("%s is broken, and what was declared before answers: %s", e.Revision.Short(), e.Problems[0])
		}
	case reconciler.RevisionHeld:
		a.held = fmt.Sprintf("%s is held, and what was declared before answers: %v", e.Revision.Short(), e.Err)
	case reconciler.RunStarted:
		a.trouble(a.held)
		a.held = ""
	case reconciler.RunRetrying:
		a.shown.Reset() // A model that is asked again begins anew.
		if text := e.Err.Error(); text != a.problem {
			a.trouble(text + "\n  it is tried again")
			a.problem = text
		}
	case reconciler.Warned, reconciler.SourceFailed, reconciler.StepFailed:
		a.shown.Reset()
		a.trouble(e.Err.Error())
	}
}

// trouble shows what has gone wrong, once for as long as it is the same.
func (a *asking) trouble(text string) {
	if text == "" || text == a.problem {
		return
	}
	a.problem = text
	a.endLine()
	fmt.Fprintf(a.progress, "· %s\n", text)
}

func (a *asking) endLine() {
	if a.open {
		fmt.Fprintln(a.progress)
		a.open = false
	}
}

func (a *asking) finish(summary spec.RunSummary) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLine()
	switch summary.Phase {
	case spec.PhaseSucceeded:
		output := summary.Outcome.Output
		if a.same && strings.TrimSpace(a.shown.String()) == strings.TrimSpace(output) {
			return nil
		}
		_, err := fmt.Fprintln(a.answer, output)
		return err
	case spec.PhaseWaiting:
		fmt.Fprintf(a.progress, "run %s waits for a review:\n", summary.Run)
		for _, p := range summary.Waiting {
			if p.Kind == spec.ProposalDirect {
				fmt.Fprintf(a.progress, "  mainstay describe action %s    # %s\n", p.Action, p.Title)
				continue
			}
			fmt.Fprintf(a.progress, "  mainstay proposals show %s%s    # %s\n", p.Key, a.where(), p.Title)
		}
		return nil
	default:
		if done := summary.Outcome.Done; done != "" {
			fmt.Fprintln(a.progress, done)
		}
		if key := summary.Outcome.Escalated; key != "" {
			fmt.Fprintf(a.progress, "a proposal brings this before a person:\n  mainstay proposals show %s%s\n", key, a.where())
		}
		return fmt.Errorf("run %s failed: %s: %s", summary.Run, summary.Outcome.Reason, spec.Visible(summary.Outcome.Message))
	}
}

// note shows a line of its own.
func (a *asking) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLine()
	fmt.Fprintf(a.progress, format+"\n", args...)
}

// interrupted notes that the terminal has shown a Ctrl-C, in the middle of a line.
func (a *asking) interrupted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = a.open || a.same
}

// earlier shows how a run ended that was begun before, and not with the task at hand.
func (a *asking) earlier(summary spec.RunSummary) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLine()
	fmt.Fprintf(a.progress, "· run %s, begun earlier, %s\n", summary.Run, summary.Phase)
	if summary.Phase == spec.PhaseSucceeded && strings.TrimSpace(a.shown.String()) != strings.TrimSpace(summary.Outcome.Output) {
		fmt.Fprint(a.progress, indent(summary.Outcome.Output, "  "))
	}
	a.shown.Reset()
}

// where is the flag that names the repository as the person did.
func (a *asking) where() string {
	if a.repo == "" {
		return ""
	}
	return " --repo " + a.repo
}

// visible makes text harmless on its way to a person, since models and agents wrote most of it. Each Write is a text of its
// own.
type visible struct{ to io.Writer }

func (v visible) Write(b []byte) (int, error) {
	if _, err := io.WriteString(v.to, spec.Visible(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// refused says what a check finds wrong in the agent's answer, or is "".
func refused(e reconciler.Event) string {
	var verdict spec.Verdict
	if e.Request.Kind != spec.RequestCheck || json.Unmarshal(e.Answer.Body, &verdict) != nil || verdict.OK {
		return ""
	}
	by := ""
	if e.Answer.Rule != "" {
		by = " by " + e.Answer.Rule
	}
	return "the answer is refused" + by + ": " + verdict.Problem
}

// toolCall writes a tool request in one line.
func toolCall(request *spec.Request) string {
	var call struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(request.Body, &call); err != nil {
		return "a malformed tool call"
	}
	return call.Name + " " + short(string(call.Arguments), 90)
}
