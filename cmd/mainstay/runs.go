package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

func newRuns(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "List runs, read what one did and why, replay one, and cancel one",
		Long: "A run is one task given to one agent. All that it asked for and was answered is in its record, which is kept until\n" +
			"spec.store.retention of the Fleet is over.",
	}
	cmd.AddCommand(newRunsList(env), newRunsShow(), newRunsReplay(env), newRunsCancel(env))
	return cmd
}

// runsListed is how many runs are listed where nobody says otherwise.
const runsListed = 200

func newRunsList(env environment) *cobra.Command {
	var (
		state, output, agent, phase, since string
		limit                              int
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List runs, the newest first",
		Example: "  mainstay runs list --phase waiting\n" +
			"  mainstay runs list --agent patcher --since 7d -o json",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := reconciler.RunFilter{Agent: spec.AgentName(agent), Phase: phase, Limit: limit}
			if phase != "" && !slices.Contains(spec.Phases(), phase) {
				return usageError{fmt.Errorf("no phase %q; there are: %s", phase, strings.Join(spec.Phases(), ", "))}
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d is negative; 0 lists all runs", limit)}
			}
			var err error
			if f.Since, err = parseSince(since, env.clock()()); err != nil {
				return usageError{err}
			}
			return listRuns(cmd, state, output, f)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	cmd.Flags().StringVar(&agent, "agent", "", "only runs of the agent with this `name`")
	cmd.Flags().StringVar(&phase, "phase", "", "only runs in this `phase`: "+strings.Join(spec.Phases(), ", "))
	cmd.Flags().StringVar(&since, "since", "", "only runs that began since then: a `time` ago such as 90m or 7d, or a date such as 2026-11-28")
	cmd.Flags().IntVar(&limit, "limit", runsListed, "the most `runs` to list; 0 lists all")
	return cmd
}

// parseSince reads how long ago, or when. Nothing is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := spec.ParseDuration(text); err == nil {
		return now.Add(-time.Duration(d)), nil
	}
	for _, form := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %q is no time; write how long ago, such as 90m or 7d, or a date such as %s", text, now.UTC().Format(time.DateOnly))
}

// listRuns prints the runs that a filter chooses.
func listRuns(cmd *cobra.Command, state, output string, f reconciler.RunFilter) error {
	dir, err := findState(state)
	if err != nil {
		return err
	}
	r, err := openReader(cmd.Context(), dir)
	if err != nil {
		return err
	}
	defer r.close()
	s, err := r.status(cmd.Context())
	if err != nil {
		return err
	}
	r.note(s, cmd.ErrOrStderr())
	list, err := r.runs(cmd.Context(), f)
	if err != nil {
		return err
	}
	if n := len(list.Runs); n < list.Total {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: these are the newest %d of %d runs; `mainstay runs list --limit 0` lists all\n", n, list.Total)
	}
	return runsTable(list.Runs, s, time.Now()).print(cmd.OutOrStdout(), output)
}

// whyEnded is an outcome's reason and message, or "" where there are none.
func whyEnded(o spec.Outcome) string {
	return strings.Trim(o.Reason+": "+o.Message, ": ")
}

// runsTable shows runs. Those of a suspended agent that would be at work tell why they are not.
func runsTable(list []spec.RunSummary, s reconciler.Status, now time.Time) table {
	suspended := map[spec.AgentName]string{}
	for _, a := range s.Agents {
		suspended[a.Name] = suspendedBy(a.Conditions)
	}
	t := table{header: []string{"RUN", "AGENT", "PHASE", "TURNS", "TOOLS", "STARTED BY", "REVISION", "AGE", "MESSAGE"}, items: list}
	for _, r := range list {
		text := ""
		if r.Outcome != nil {
			text = firstLine(whyEnded(*r.Outcome))
		}
		if r.Delayed != "" {
			text = "delayed: " + firstLine(r.Delayed)
		}
		if waits := waitsFor(r); waits != "" {
			text = waits
		}
		if why := suspended[r.Agent]; why != "" && (r.Phase == spec.PhaseQueued || r.Phase == spec.PhaseRunning) {
			text = firstLine(why)
		}
		t.rows = append(t.rows, []string{string(r.Run), string(r.Agent), r.Phase, fmt.Sprint(r.Turns), fmt.Sprint(r.ToolCalls),
			startedBy(r.Task), r.Revision.Short(), since(now, r.At), spec.Visible(text)})
	}
	return t
}

// latest stands for the newest run where a run is named.
const latest = "latest"

// readRecord finds a run by its id, the beginning of its id, or `latest`, and reads its record.
func readRecord(ctx context.Context, state, name string) (spec.RunID, []spec.Entry, error) {
	dir, err := findState(state)
	if err != nil {
		return "", nil, err
	}
	r, err := openReader(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	defer r.close()
	id, err := r.find(ctx, name)
	if err != nil {
		return "", nil, err
	}
	entries, err := r.record(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, r.noRun(ctx, name)
	}
	return id, entries, err
}

// idLength is how long a whole id of a run is.
const idLength = 26

func (r *reader) find(ctx context.Context, name string) (spec.RunID, error) {
	name = strings.ToLower(name)
	f := reconciler.RunFilter{Prefix: name, Limit: 4}
	switch {
	case len(name) >= idLength:
		return spec.RunID(name), nil // The record of a run may be there without its summary.
	case name == "":
		return "", usageError{errors.New("which run? give its id, the beginning of one, or latest")}
	case name == latest:
		f = reconciler.RunFilter{Limit: 1}
	}
	list, err := r.runs(ctx, f)
	switch {
	case err != nil:
		return "", err
	case len(list.Runs) == 0:
		return "", r.noRun(ctx, name)
	case list.Total > 1 && name != latest:
		var lines []string
		for _, one := range list.Runs {
			lines = append(lines, fmt.Sprintf("  %s  %s, %s", one.Run, one.Agent, one.Phase))
		}
		if more := list.Total - len(list.Runs); more > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more", more))
		}
		return "", fmt.Errorf("%d runs begin with %q; write more of the id:\n%s", list.Total, name, strings.Join(lines, "\n"))
	}
	return list.Runs[0].Run, nil
}

// noRun says that there is no such run, and why, as far as that can be known.
func (r *reader) noRun(ctx context.Context, name string) error {
	if name == latest {
		return errors.New("there is no run yet")
	}
	if s, err := r.status(ctx); err == nil && s.Forgotten != nil {
		if began, ok := runs.Began(spec.RunID(name)); ok && began.Before(s.Forgotten.Before) {
			return fmt.Errorf("no run %q: it began on %s, and finished runs are forgotten %s after their end, as spec.store.retention of the Fleet says (those that ended before %s are)",
				name, began.Format(time.DateOnly), long(s.Forgotten.Retention), s.Forgotten.Before.UTC().Format(time.DateTime))
		}
	}
	return fmt.Errorf("no run %q; `mainstay runs list` lists them", spec.Visible(name))
}
