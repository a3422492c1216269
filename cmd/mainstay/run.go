package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
)

func newRun(env environment) *cobra.Command {
	var (
		repo     repoFlags
		state    stateFlags
		interval time.Duration
		once     bool
		bounds   processBounds
		keys     string
	)
	cmd := &cobra.Command{
		Use:   "run --repo URL",
		Short: "Watch a repository and run what it declares",
		Long: "Watch a branch and make every commit on it what runs, until SIGTERM or Ctrl-C.\n\n" +
			"With --once: start what is due, execute what was approved, let runs come to an end or to a review, and exit. Without\n" +
			"--state nothing is kept on this machine: the records of waiting runs travel on the branch mainstay/runs, and the\n" +
			"next `mainstay run --once` with a trusted --signing-key resumes them.\n\n" +
			"Exit codes: 0 converged, 1 a resource failed, 2 usage, 3 Git could not be reached.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := repo.resolve(); err != nil {
				return err
			}
			if interval < time.Second {
				return usageError{fmt.Errorf("--interval %v is too short; use at least 1s", interval)}
			}
			if err := bounds.check(); err != nil {
				return err
			}
			if err := notEmpty(cmd, "verify-keys"); err != nil {
				return err
			}
			signatures, err := verifyKeys(keys)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			ctx := cmd.Context()
			travels := false
			if state.dir == "" && once {
				dir, err := os.MkdirTemp("", "mainstay-once-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir)
				state.dir, travels = dir, true
			}
			if state.dir == "" {
				dir, err := defaultState(repo.repo, repo.ref, repo.path)
				if err != nil {
					return err
				}
				state.dir = dir
			}
			following, logged := &followers{}, logEvents(log)
			w, err := wire(ctx, env, wiring{repo: repo, state: state, interval: interval, travels: travels, log: log, bounds: bounds, signatures: signatures,
				observe: func(e reconciler.Event) { logged(e); following.tell(e) }, getenv: os.LookupEnv})
			if err != nil {
				return err
			}
			if once {
				err = w.Once(ctx)
			} else {
				err = runAndServe(ctx, env, w, following, state.dir, log)
			}
			return errors.Join(err, w.close(context.WithoutCancel(ctx)))
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	state.add(cmd)
	addOwnStateFlag(cmd, &state.dir)
	cmd.Flags().DurationVar(&interval, "interval", 30*time.Second, "the `time` between two looks at the branch")
	bounds.add(cmd)
	cmd.Flags().StringVar(&keys, "verify-keys", "", "a `file` of public keys, SSH or OpenPGP: while mainstay.yaml demands no signatures, and for the first revision that is\never seen here, one of them must have signed the newest commit")
	cmd.Flags().BoolVar(&once, "once", false, "do what is due and exit")
	return cmd
}

// runAndServe runs the loop and answers `mainstay get` and `mainstay chat` meanwhile. Either one's failure ends both.
func runAndServe(ctx context.Context, env environment, w *wired, following *followers, state string, log *slog.Logger) error {
	path, err := socketPath(state)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		served <- serve.Run(ctx, path, serve.Handler(serve.Views{
			Status: func(ctx context.Context) (any, error) { return w.Status(ctx) },
			Runs: func(ctx context.Context, query url.Values) (any, error) {
				f, err := reconciler.ParseRunFilter(query)
				if err != nil {
					return nil, err
				}
				return w.Runs(ctx, f)
			},
			Costs: func(ctx context.Context, query url.Values) (any, error) {
				q, err := reconciler.ParseCostQuery(query)
				if err != nil {
					return nil, err
				}
				return w.Costs(ctx, q)
			},
			Record: w.Record,
			Cancel: func(ctx context.Context, run spec.RunID, c serve.Cancel) (any, error) {
				return notThere(w.Cancel(ctx, run, c.By, c.Reason))
			},
			Threads:     threadViews(w, following),
			Suspensions: suspensionViews(env, w),
		}))
		stop()
	}()
	log.Info("watching", "state", state)
	err = w.Run(ctx)
	stop()
	return errors.Join(err, <-served)
}

// doneSoFar are the fields of a log line that say what a failed run had done, and where a person can act on it.
func doneSoFar(o *spec.Outcome) []any {
	var fields []any
	if o.Done != "" {
		fields = append(fields, "done", o.Done)
	}
	if o.Escalated != "" {
		fields = append(fields, "proposal", o.Escalated)
	}
	return fields
}

// logEvents writes what happens as log lines.
func logEvents(log *slog.Logger) func(reconciler.Event) {
	return func(e reconciler.Event) {
		switch e.Type {
		case reconciler.RevisionLoaded:
			log.Info("revision loaded", "revision", e.Revision, "resources", len(e.Fleet.Resources))
			for _, p := range e.Problems {
				log.Warn("problem", "revision", e.Revision.Short(), "problem", p.String())
			}
		case reconciler.RevisionBroken:
			log.Error("revision is broken; what was declared before goes on running", "revision", e.Revision)
			for _, p := range e.Problems {
				log.Error("problem", "revision", e.Revision.Short(), "problem", p.String())
			}
		case reconciler.RevisionHeld:
			log.Error("revision is held; what was declared before goes on running", "revision", e.Revision, "reason", e.Err)
		case reconciler.SourceFailed:
			log.Error("the repository could not be read; what ran goes on running", "error", e.Err)
		case reconciler.Planned:
			for _, step := range e.Steps {
				log.Info("plan", "step", step.Verb, "resource", step.Ref, "why", step.Why)
			}
		case reconciler.StepDone:
			log.Info("step done", "step", e.Step.Verb, "resource", e.Step.Ref, "result", e.Text)
		case reconciler.StepFailed:
			log.Error("step failed", "step", e.Step.Verb, "resource", e.Step.Ref, "error", e.Err)
		case reconciler.RunQueued:
			log.Info("run queued", "run", e.Run, "agent", e.Task.Agent, "trigger", e.Task.Trigger)
		case reconciler.Proposed:
			if e.Proposal.Kind == spec.ProposalDirect {
				log.Warn("an action is not settled, and its run waits", "run", e.Run, "action", e.Proposal.Action, "title", e.Proposal.Title)
				break
			}
			log.Info("proposal opened", "run", e.Run, "key", e.Proposal.Key, "branch", e.Proposal.Branch(), "title", e.Proposal.Title)
		case reconciler.Delegated:
			log.Info("task given to another agent", "run", e.Run, "agent", e.Child.Agent, "child", e.Child.Run)
		case reconciler.RunWaiting:
			log.Info("run waits for "+e.Text, "run", e.Run)
		case reconciler.RunRetrying:
			log.Warn("run is tried again", "run", e.Run, "in", e.Text, "error", e.Err)
		case reconciler.RunFinished:
			if e.Outcome.Phase == spec.PhaseSucceeded {
				log.Info("run succeeded", "run", e.Run)
			} else {
				log.Error("run failed", append([]any{"run", e.Run, "reason", e.Outcome.Reason, "message", e.Outcome.Message}, doneSoFar(e.Outcome)...)...)
			}
		case reconciler.ModelChanged:
			if e.Err != nil {
				log.Error("model cannot be used", "resource", e.Resource, "reason", e.Err)
			} else {
				log.Info("model", "resource", e.Resource, "state", e.Text)
			}
		case reconciler.KnowledgeChanged:
			if e.Err != nil {
				log.Error("knowledge cannot be read", "resource", e.Resource, "reason", e.Err)
			} else {
				log.Info("knowledge", "resource", e.Resource, "state", e.Text)
			}
		case reconciler.ModelPruned:
			if e.Err != nil {
				log.Warn("model cannot be deleted from its server", "resource", e.Resource, "reason", e.Err)
			} else {
				log.Info("model is pruned", "resource", e.Resource, "state", e.Text)
			}
		case reconciler.RunsForgotten:
			log.Info("finished runs are forgotten", "runs", e.Text)
		case reconciler.ActionSettled:
			if e.Err != nil {
				log.Error("action not executed", "action", e.Action, "reason", e.Err)
			} else {
				log.Info("action executed", "action", e.Action, "result", e.Text)
			}
		case reconciler.Warned:
			log.Warn("needs attention", "error", e.Err)
		}
	}
}
