package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

func newAsk(env environment) *cobra.Command {
	var (
		repo  = repoFlags{here: true}
		state stateFlags
	)
	cmd := &cobra.Command{
		Use:   `ask AGENT "TASK"`,
		Short: "Give an agent a task and print its answer",
		Long: "Run one agent here, as the branch declares it, and print its answer; no daemon is needed. What the agent does on the\n" +
			"way is told on stderr, the answer alone is on stdout. What it wants to change becomes a proposal; then the run waits\n" +
			"on the branch mainstay/runs, and whichever reconciler sees the decision finishes it.",
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			given := repo.repo
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
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			asked := &asking{progress: visible{cmd.ErrOrStderr()}, answer: visible{cmd.OutOrStdout()}, repo: given}
			w, err := wire(ctx, env, wiring{repo: repo, state: state, interval: time.Second, travels: true,
				log: slog.New(slog.DiscardHandler), observe: asked.tell, getenv: os.LookupEnv})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx))) }()
			outcome, err := w.Ask(ctx, spec.AgentName(args[0]), args[1])
			if err != nil {
				return err
			}
			return asked.finish(outcome)
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	state.add(cmd)
	return cmd
}

// asking shows the progress of one run.
type asking struct {
	progress, answer io.Writer
	// repo is the repository as the person named it, or "".
	repo string
	mu   sync.Mutex
	open bool // the last piece of progress did not end its line
	// beneath holds what agents beneath have said of a line, by run.
	beneath map[spec.RunID]string
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
		return
	case reconciler.Asked:
		if e.Request.Kind == spec.RequestTool {
			a.endLine()
			fmt.Fprintf(a.progress, "· %s\n", toolCall(e.Request))
		}
	case reconciler.Proposed:
		a.endLine()
		fmt.Fprintf(a.progress, "· proposal %s: %s\n", e.Proposal.Key, e.Proposal.Title)
	case reconciler.Warned, reconciler.SourceFailed, reconciler.StepFailed, reconciler.RunRetrying:
		a.endLine()
		fmt.Fprintf(a.progress, "· %v\n", e.Err)
	}
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
		_, err := fmt.Fprintln(a.answer, summary.Outcome.Output)
		return err
	case spec.PhaseWaiting:
		fmt.Fprintf(a.progress, "run %s waits for a review:\n", summary.Run)
		where := ""
		if a.repo != "" {
			where = " --repo " + a.repo
		}
		for _, p := range summary.Waiting {
			fmt.Fprintf(a.progress, "  mainstay proposals show %s%s    # %s\n", p.Key, where, p.Title)
		}
		return nil
	default:
		return fmt.Errorf("run %s failed: %s: %s", summary.Run, summary.Outcome.Reason, spec.Visible(summary.Outcome.Message))
	}
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
