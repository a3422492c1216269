package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/examples/quickstart/cluster"
	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

func newDemo(env environment) *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine: a commit, an agent, two proposals, your approval, one execution",
		Long: "Make a Git remote from examples/quickstart, watch it, and tell what happens: an agent finds an advisory against an\n" +
			"image, proposes the new image and a restart, waits for your review, and reports once the restart was executed.\n" +
			"Nothing outside the demo's folder is touched, and no model server is needed.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.in, d.out = bufio.NewReader(cmd.InOrStdin()), cmd.OutOrStdout()
			return d.run(cmd.Context(), env)
		},
	}
	cmd.Flags().StringVar(&d.dir, "dir", "", "the `folder` to make (default: a fresh temporary one)")
	cmd.Flags().BoolVar(&d.yes, "yes", false, "approve every proposal, as the reviewer that the demo makes")
	cmd.Flags().StringVar(&d.model, "model", "", "use a local model instead of the scripted one: ollama:`NAME`")
	cmd.AddCommand(&cobra.Command{
		Use:    "tools",
		Short:  "Be the demo's MCP server: a small cluster to look at and to restart things in",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.Serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), os.Getenv)
		},
	})
	return cmd
}

type demo struct {
	dir, model string
	yes        bool
	in         *bufio.Reader
	out        io.Writer

	remote   string         // folder of the bare repository
	reviewer *remote.Signer // the person's key, not the agent's and not the reconciler's
}

func (d *demo) run(ctx context.Context, env environment) (err error) {
	if err := d.prepare(ctx, env); err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	events := make(chan reconciler.Event, 1024)
	w, err := wire(ctx, env, wiring{
		repo:     repoFlags{repo: d.remote, ref: "main"},
		state:    stateFlags{dir: d.state()},
		interval: time.Minute, // It looks when there is something to see: after the review.
		log:      slog.New(slog.DiscardHandler),
		observe: func(e reconciler.Event) {
			select {
			case events <- e:
			case <-ctx.Done():
			}
		},
		getenv: os.LookupEnv,
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(running) }()
	story := &story{out: d.out}
	told := d.tell(running, env, w, events, story)
	stop()
	go func() { // The reconciler may still tell what it does while it stops; nobody listens any more.
		for range events {
		}
	}()
	err = errors.Join(told, <-done, w.close(context.WithoutCancel(ctx)))
	close(events)
	if err == nil && ctx.Err() == nil {
		d.lookAround(story.first)
	}
	return err
}

func (d *demo) state() string { return filepath.Join(d.dir, "state") }

// prepare makes the folder: a remote with the example on main, the two keys, and the ledger.
func (d *demo) prepare(ctx context.Context, env environment) error {
	var err error
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "mainstay-demo-"); err != nil {
			return err
		}
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return err
	}
	if entries, err := os.ReadDir(d.dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; choose another --dir, or remove it", d.dir)
	}
	d.remote = filepath.Join(d.dir, "remote.git")
	repo, err := git.PlainInitWithOptions(d.remote, &git.PlainInitOptions{Bare: true, InitOptions: git.InitOptions{DefaultBranch: plumbing.Main}})
	if err != nil {
		return err
	}
	if _, err := repo.Config(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "keys"), 0o700); err != nil {
		return err
	}
	if d.reviewer, err = remote.GenerateSigner(filepath.Join(d.dir, "keys", "reviewer"), "reviewer"); err != nil {
		return err
	}
	own, err := loadOrMakeKey("", filepath.Join(d.state(), "keys", "reconciler"))
	if err != nil {
		return err
	}
	rem, err := openRemote(ctx, env, d.remote, "")
	if err != nil {
		return err
	}
	defer rem.Close()
	genesis, err := execute.InitLedger(ctx, rem, own, "mainstay", "mainstay@localhost", time.Now())
	if err != nil {
		return err
	}
	edits, err := d.seed(genesis, own)
	if err != nil {
		return err
	}
	commit, err := rem.WriteCommit(remote.CommitDraft{Edits: edits, Message: "A small shop, and an agent that looks after its images\n",
		AuthorName: "You", AuthorEmail: "you@example.com", When: time.Now(), Signer: d.reviewer})
	if err != nil {
		return err
	}
	return rem.Push(ctx, "main", "", commit)
}

// seed is examples/quickstart with the demo's keys in mainstay.yaml, and its model if another was asked for.
func (d *demo) seed(genesis string, own *remote.Signer) ([]spec.FileEdit, error) {
	var edits []spec.FileEdit
	err := fs.WalkDir(quickstart.Files(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(quickstart.Files(), path)
		if err != nil {
			return err
		}
		text := string(content)
		switch {
		case path == "mainstay.yaml":
			text += fmt.Sprintf("  approvers:\n  - name: you\n    key: %s\n  ledger:\n    genesis: %s\n    signers:\n    - name: demo\n      key: %s\n",
				d.reviewer.AuthorizedKey(), genesis, own.AuthorizedKey())
		case path == "models/default.yaml" && d.model != "":
			name, err := ollamaName(d.model)
			if err != nil {
				return usageError{err}
			}
			text = fmt.Sprintf("apiVersion: %s\nkind: Model\nmetadata:\n  name: default\nspec:\n  provider: ollama\n  name: %q\n  parameters:\n    temperature: 0\n",
				spec.APIVersion, name)
		}
		edits = append(edits, spec.FileEdit{Path: path, Content: text})
		return nil
	})
	return edits, err
}

// ollamaName returns the name of a model that is written as ollama:NAME.
func ollamaName(model string) (string, error) {
	provider, name, _ := strings.Cut(model, ":")
	if provider != spec.ProviderOllama || name == "" {
		return "", fmt.Errorf("cannot use model %q; write ollama:NAME, such as ollama:qwen3:4b", model)
	}
	return name, nil
}

// tell says what happens until the run that the first revision started has finished and nothing is left to do.
func (d *demo) tell(ctx context.Context, env environment, w *wired, events <-chan reconciler.Event, story *story) error {
	d.say("Mainstay demo in %s", d.dir)
	story.heading("A commit says what runs")
	story.line("remote.git", "a bare Git repository, seeded from examples/quickstart")
	for {
		select {
		case <-ctx.Done():
			return d.interrupted()
		case e := <-events:
			story.tell(e)
			switch e.Type {
			case reconciler.RevisionBroken, reconciler.RevisionHeld, reconciler.StepFailed:
				return fmt.Errorf("the demo cannot go on; look at %s", d.dir)
			case reconciler.RunRetrying:
				if err := w.Stuck(e.Run); err != nil {
					return fmt.Errorf("the run makes no progress: %w", err)
				}
			case reconciler.RunWaiting:
				err := d.review(ctx, env, story)
				if ctx.Err() != nil {
					return d.interrupted()
				}
				if err != nil {
					return err
				}
				w.Look()
			case reconciler.RunFinished:
				if e.Outcome.Phase != spec.PhaseSucceeded {
					return fmt.Errorf("run %s failed: %s: %s", e.Run, e.Outcome.Reason, e.Outcome.Message)
				}
				if e.Run == story.first {
					return nil
				}
			}
		}
	}
}

// review shows the open proposals, asks the person about each, and merges or rejects as told.
func (d *demo) review(ctx context.Context, env environment, story *story) (err error) {
	person := personFlags{name: "you", email: "you@example.com"}
	rem, driver, err := openProposals(ctx, env, &repoFlags{repo: d.remote, ref: "main"}, person)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rem.Close()) }()
	open, err := driver.List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(open, func(a, b proposal.Listed) int { return cmp.Compare(a.Exchange, b.Exchange) })
	story.heading("What the agent wants to change comes back as proposals on the remote")
	var all []proposal.Shown
	for _, p := range open {
		shown, err := driver.Show(ctx, p.Key)
		if err != nil {
			return err
		}
		all = append(all, shown)
		story.line("proposal", "%s\non branch %s", shown.Sentence, p.Branch())
		d.say("\n%s", indent(shown.Diff, "      "))
	}
	story.heading("You decide: merging is the approval")
	for _, p := range all {
		ok, err := d.ask(ctx, p)
		if err != nil {
			return err
		}
		if !ok {
			if err := driver.Reject(ctx, p.Key, "the reviewer said no", person.reviewer(d.reviewer)); err != nil {
				return err
			}
			story.line("rejected", "%s", p.Title)
			continue
		}
		merge, err := driver.Approve(ctx, local.Approval{Key: p.Key, Head: p.Head, By: person.reviewer(d.reviewer)})
		if err != nil {
			return err
		}
		story.line("approved", "%s\nby merge %s into main, signed with keys/reviewer, which no agent has", p.Title, merge[:7])
	}
	return nil
}

// ask shows a proposal and waits for y, n or show.
func (d *demo) ask(ctx context.Context, p proposal.Shown) (bool, error) {
	if d.yes {
		return true, nil
	}
	for {
		fmt.Fprintf(d.out, "  %-12s %s\n  %-12s [y]es, [n]o, [s]how: ", "proposal", p.Title, "approve?")
		line, err := readLine(ctx, d.in)
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		case "s", "show":
			fmt.Fprintf(d.out, "\n%s\n", indent(showProposal(p), "    "))
			continue
		}
		if err != nil {
			return false, fmt.Errorf("nobody answered; run `%s demo --yes`, or answer on the terminal", program())
		}
	}
}

func (d *demo) interrupted() error { return fmt.Errorf("interrupted; %s stays as it is", d.dir) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) lookAround(run spec.RunID) {
	p, state, repo := program(), quoted(d.state()), quoted(d.remote)
	d.say("\nLook around:")
	d.say("  git -C %s log --graph --oneline main     # the commits and the merges", repo)
	d.say("  git -C %s log --stat mainstay/ledger     # claim, start, receipt", repo)
	d.say("  %s get runs --state %s", p, state)
	d.say("  %s logs %s --state %s", p, run, state)
	d.say("  %s get actions --state %s", p, state)
	d.say("  %s run --repo %s --state %s   # keep it running, then commit to it", p, repo, state)
}
