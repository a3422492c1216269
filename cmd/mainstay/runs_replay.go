package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/replay"
	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// replaying is what `mainstay runs replay` was told.
type replaying struct {
	env                                      environment
	state, record, revision, folder, overlay string
	ask                                      bool
}

func newRunsReplay(env environment) *cobra.Command {
	r := replaying{env: env}
	var output string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "Give a recorded run to its agent once more, at another revision, and show where it goes another way",
		Long: "Start the agent as another revision or folder declares it, give it the answers that are in the record, and show where\n" +
			"what it asks for differs first, what its model would be told differently, and what policy would decide differently.\n" +
			"Nothing has an effect: no tool is called, nothing is proposed, no model is asked, and nothing is written. RUN is its id,\n" +
			"the beginning of one, or `latest`.\n\n" +
			"Without --revision and --folder the run is replayed against the revision that it ran at, which proves that its agent\n" +
			"repeats itself. Revisions are looked for where the daemon keeps them, and then in the clone you are in.\n\n" +
			"With --ask the model is asked again wherever it would be told something else, and both decisions are shown. A tool call\n" +
			"that the record has too gets the recorded result; at one that it does not have the replay ends.\n\n" +
			"With --exit-code the exit code is 0 if nothing differs, 2 if something does, and 1 for every error.",
		Example: "  mainstay runs replay latest                          # does the agent repeat itself?\n" +
			"  mainstay runs replay 01kb2 --revision my-branch      # what would it have done there?\n" +
			"  mainstay runs replay 01kb2 --folder . --ask          # and what would its model say?\n" +
			"  mainstay logs 01kb2 -o json >run.json                # keep a run, and replay it in CI\n" +
			"  mainstay runs replay --record run.json --folder . --exit-code",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && r.record == "":
				return usageError{errors.New("which run? give RUN, or --record FILE")}
			case len(args) == 1 && r.record != "":
				return usageError{errors.New("give RUN or --record, not both")}
			case r.revision != "" && r.folder != "":
				return usageError{errors.New("give --revision or --folder, not both")}
			case output != "" && output != "json" && output != "yaml":
				return usageError{fmt.Errorf("unknown output format %q; use json or yaml", output)}
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			report, err := r.run(cmd.Context(), name)
			if err != nil {
				return err
			}
			if output != "" {
				err = printItems(cmd.OutOrStdout(), output, report)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), replayText(report, width(cmd.OutOrStdout())))
			}
			if err == nil && exitCode && !report.Same {
				return errChanges
			}
			return err
		},
	}
	addStateFlag(cmd, &r.state)
	addEnvFlag(cmd, &r.overlay)
	addOutputFlag(cmd, &output)
	cmd.Flags().Lookup("output").Usage = "the `format`: json or yaml instead of text"
	cmd.Flags().StringVar(&r.record, "record", "", "replay the record in this `file`, as `mainstay logs RUN -o json` writes it, in place of RUN")
	cmd.Flags().StringVar(&r.revision, "revision", "", "replay against this `revision`: a branch, a tag or a commit")
	cmd.Flags().StringVar(&r.folder, "folder", "", "replay against the files in this `folder`, which holds mainstay.yaml")
	cmd.Flags().BoolVar(&r.ask, "ask", false, "ask the model again where it would be told something else")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 0 if nothing differs, 2 if something does, and 1 for every error")
	return cmd
}

func (r *replaying) run(ctx context.Context, name string) (*replay.Report, error) {
	entries, err := r.entries(ctx, name)
	if err != nil {
		return nil, err
	}
	recording, err := runs.NewRecording(entries)
	if err != nil {
		return nil, fmt.Errorf("the record of run %s: %w", name, err)
	}
	dir, err := os.MkdirTemp("", "mainstay-replay-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	// What cannot be had of the revision that the run was recorded at is left out of the comparison.
	was, files, wasErr := r.at(ctx, recording.Task().Revision.Commit())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var is *replay.Side
	switch {
	case r.folder != "":
		is, files, err = r.inFolder(ctx)
	case r.revision != "":
		is, files, err = r.at(ctx, r.revision)
	default:
		err = wasErr
	}
	if err != nil {
		return nil, err
	}
	o := replay.Options{Recording: recording, Was: was, Is: is, Now: r.env.clock()}
	fleet := was
	if is != nil {
		fleet = is
	}
	agents, err := r.host(ctx, dir, fleet.Fleet, recording.Task().Agent)
	if err != nil {
		return nil, err
	}
	o.Open = func(ctx context.Context, task spec.Task, agent *spec.Agent, tools []broker.Tool) (runs.Session, error) {
		return reconciler.OpenSession(ctx, agents, task, agent, tools)
	}
	if r.ask {
		o.Ask = r.asker(fleet.Fleet, files)
	}
	report, err := replay.Run(ctx, o)
	return report, errors.Join(err, agents.Close(context.WithoutCancel(ctx)))
}

// entries reads the record.
func (r *replaying) entries(ctx context.Context, name string) ([]spec.Entry, error) {
	if r.record == "" {
		_, entries, err := readRecord(ctx, r.state, name)
		return entries, err
	}
	f, err := os.Open(r.record)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := runs.ReadRecord(f)
	if err != nil {
		return nil, fmt.Errorf("read the record %s: %w", r.record, err)
	}
	return entries, nil
}

// at is a revision: of those that the daemon keeps, or of the clone in the working directory.
func (r *replaying) at(ctx context.Context, revision string) (*replay.Side, fs.FS, error) {
	root, err := ".", error(nil)
	var store, clone *remote.Clone
	var lookedIn []string
	if state, err := findState(r.state); err == nil && (r.record == "" || r.state != "") {
		root = watchedFolder(state)
		if store, err = remote.OpenStore(filepath.Join(state, "git")); err == nil {
			lookedIn = append(lookedIn, "what the daemon keeps")
		}
	}
	if clone, err = remote.OpenClone("."); err == nil {
		lookedIn = append(lookedIn, "the clone "+clone.Top())
	}
	for _, repository := range []*remote.Clone{store, clone} {
		if repository == nil {
			continue
		}
		commit, err := repository.Resolve(revision)
		if err == nil {
			var files fs.FS
			if files, err = folderAt(repository, commit, root); err == nil {
				return r.side(ctx, files, root, commit[:shortHead])
			}
		}
		if !errors.Is(err, remote.ErrMissing) {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("there is no revision %s in %s; fetch it into a clone and go there, or give --folder",
		spec.Visible(revision), dash(strings.Join(lookedIn, " or ")))
}

// inFolder is what the files of a folder declare as they stand.
func (r *replaying) inFolder(ctx context.Context) (*replay.Side, fs.FS, error) {
	files, err := openFolder(r.folder)
	if err != nil {
		return nil, nil, fmt.Errorf("--folder: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = files.root.Close() }) // It is read until the command ends.
	root := "."
	if clone, err := remote.OpenClone(r.folder); err == nil {
		if within, err := clone.Within(r.folder); err == nil {
			root = within
		}
	}
	return r.side(ctx, files, root, r.folder)
}

func (r *replaying) side(ctx context.Context, files fs.FS, root, name string) (*replay.Side, fs.FS, error) {
	if files == nil || missing(files, spec.FileOf(spec.Ref{Kind: spec.KindFleet})) {
		return nil, nil, fmt.Errorf("%s holds no %s", path.Join(name, root), spec.FileOf(spec.Ref{Kind: spec.KindFleet}))
	}
	loaded := &loading{files: files}
	fleet, problems, err := loaded.load(ctx, r.overlay)
	if err = errors.Join(err, problems.Err()); err != nil {
		return nil, nil, fmt.Errorf("load %s: %w", name, err)
	}
	if root == "." {
		root = ""
	}
	return &replay.Side{Fleet: fleet, Root: root, Name: name}, files, nil
}

// host starts the one agent.
func (r *replaying) host(ctx context.Context, dir string, fleet *spec.Fleet, name spec.AgentName) (*host.Host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	agent := fleet.Agents[name]
	if agent == nil {
		return nil, fmt.Errorf("there it declares no agent %q", name)
	}
	hosted, err := host.AgentOf(agent)
	if err != nil {
		return nil, err
	}
	agents := host.New(host.Options{Dir: dir, Runtimes: runtimes(self), Now: r.env.clock(), Sleep: sleep})
	agents.Accept(fleet.Lock)
	if err := agents.Start(hosted); err != nil {
		return nil, errors.Join(err, agents.Close(context.WithoutCancel(ctx)))
	}
	return agents, nil
}

// asker asks models alone. What it tells them of tools is what the lock says.
func (r *replaying) asker(fleet *spec.Fleet, files fs.FS) func(context.Context, runs.Call) (runs.Reply, error) {
	secrets := secret.New(secret.Options{Env: os.LookupEnv, Tree: func() (fs.FS, error) { return files, nil }, Now: r.env.clock()})
	redactor := broker.NewRedactor(secrets.Known)
	b := broker.New(broker.Options{
		Models: model.Providers{Secret: secrets.Resolve, Hide: redactor.Text}, Redactor: redactor, Now: r.env.clock(),
		Lock: func() (*spec.Lock, bool) { return fleet.Lock, true },
		Described: func(agent *spec.Agent) []broker.Tool {
			tools, _ := broker.PinnedTools(agent, fleet)
			return tools
		},
	})
	return func(ctx context.Context, c runs.Call) (runs.Reply, error) {
		reply, err := b.Answer(ctx, broker.Call{Task: c.Task, Agent: c.Agent, N: c.N, At: c.At, Turn: c.Turn, Spent: c.Spent, Request: c.Request}, nil)
		return runs.Reply(reply), err
	}
}

// replayText tells a replay to a person.
func replayText(r *replay.Report, width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s of %s, recorded at %s, replayed against %s %s.\n", r.Run, r.Agent, r.Was, oneLine(r.Is), oneLine(r.Ended))
	for _, d := range r.Differences {
		where := fmt.Sprintf("exchange %d", d.Exchange)
		if d.Exchange > r.Exchanges {
			where = "the end"
		}
		if d.Lane != "" {
			where += " in lane " + oneLine(string(d.Lane))
		}
		b.WriteString("\n" + strings.Join(broken("At "+where+": "+spec.Visible(d.Text), width), "\n") + "\n")
		if d.Kind == replay.Said || d.Kind == replay.Asked || d.Kind == replay.Ended || d.Kind == replay.Unrecorded {
			for _, side := range []struct{ name, text string }{{"was", d.Was}, {"now", d.Is}} {
				for i, l := range broken(spec.Visible(side.text), width-8) {
					name := side.name
					if i > 0 {
						name = ""
					}
					if side.text != "" {
						fmt.Fprintf(&b, "  %-4s  %s\n", name, l)
					}
				}
			}
		}
		for _, one := range d.Diffs {
			fmt.Fprintf(&b, "  %s:\n", oneLine(one.What))
			b.WriteString(indent(one.Text, "    "))
		}
	}
	b.WriteString("\n")
	for _, note := range r.Notes {
		b.WriteString(strings.Join(broken("Note: "+spec.Visible(note)+".", width), "\n") + "\n")
	}
	if r.Same {
		fmt.Fprintf(&b, "The same: the agent repeats all that it asked for, %d of %s.\n", r.Replayed, count(r.Exchanges, "exchange"))
	} else {
		fmt.Fprintf(&b, "%s, the first at %s.\n", count(len(r.Differences), "difference"), firstPlace(r))
	}
	return b.String()
}

func firstPlace(r *replay.Report) string {
	if n := r.Differences[0].Exchange; n <= r.Exchanges {
		return fmt.Sprintf("exchange %d of %d", n, r.Exchanges)
	}
	return "the end"
}
