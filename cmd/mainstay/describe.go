package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

func newDescribe() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use: "describe agent NAME | run RUN | action ACTION",
		Short: "Show one agent in full, with what runs and its last runs, one run, with the runs above and beneath it, or one action, with " +
			"where it stands and why",
		ValidArgs: []string{"agent", "run", "action"},
		Args:      arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "run" {
				return describeRun(cmd.Context(), cmd.OutOrStdout(), state, args[1], output, time.Now())
			}
			if args[0] != "agent" && args[0] != "action" {
				return usageError{fmt.Errorf("cannot describe %q; only agents, runs and actions can be described", args[0])}
			}
			s, err := readStatus(cmd.Context(), state, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if args[0] == "action" {
				return describeAction(cmd.OutOrStdout(), s, args[1], output)
			}
			i := slices.IndexFunc(s.Agents, func(a reconciler.AgentStatus) bool { return string(a.Name) == args[1] })
			if i < 0 {
				var names []string
				for _, a := range s.Agents {
					names = append(names, string(a.Name))
				}
				return unknownAgent(args[1], names)
			}
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, s.Agents[i])
			}
			return describeAgent(cmd.OutOrStdout(), s, s.Agents[i], time.Now())
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}

func describeAgent(w io.Writer, s reconciler.Status, a reconciler.AgentStatus, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s:\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("Name", "%s", a.Name)
	row("Description", "%s", dash(a.Description))
	row("Revision", "%s", a.Revision)
	if held := heldBack(s); held != "" {
		row("Newer one", "%s", held)
	}
	row("Digest", "%s", a.Digest)
	row("Model", "%s", dash(a.Model))
	row("Runtime", "%s", dash(a.Runtime))
	row("Tools", "%s", dash(strings.Join(a.Tools, ", ")))
	state := a.State
	if !a.Since.IsZero() {
		state += ", for " + since(now, a.Since)
	}
	row("State", "%s", state)
	for _, p := range a.Processes {
		text := fmt.Sprintf("%d, for %s, %s", p.PID, since(now, p.Since), runsText(p.Runs))
		if p.MemoryBytes > 0 {
			text += fmt.Sprintf(", %d MiB", p.MemoryBytes>>20)
		}
		if p.Leaving {
			text += ", ends with them"
		}
		row("Process", "%s", text)
	}
	row("Runs", "%s", agentRuns(a))
	row("Isolation", "%s", dash(a.Isolation))
	if len(a.Exec) > 0 {
		row("Executes", "%s", strings.Join(a.Exec, ", "))
	}
	row("Restarts", "%d", a.Restarts)
	if a.LastExit != "" {
		row("Last exit", "%s", a.LastExit)
	}
	for _, line := range strings.Split(strings.TrimSpace(a.Stderr), "\n") {
		if line != "" {
			row("Last words", "%s", line)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nConditions:")
	for _, c := range a.Conditions {
		lines := strings.Split(spec.Visible(c.Message), "\n") // An agent's last words may have several.
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(tw, "  \t\t\t%s\n", line)
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	mine := s
	mine.Runs = slices.DeleteFunc(slices.Clone(s.Runs), func(r spec.RunSummary) bool { return r.Agent != a.Name })
	fmt.Fprintln(w, "\nRuns:")
	return views["runs"](mine, now).print(w, "")
}

// unknownAgent says which agents a daemon has.
func unknownAgent(name string, names []string) error {
	hint := "none runs in this state folder; `mainstay run` starts those that are declared"
	if len(names) > 0 {
		hint = "there are: " + strings.Join(names, ", ")
	}
	return fmt.Errorf("no agent %q; %s", spec.Visible(name), near.Hint(name, names, hint))
}

func runsText(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

func newLogs() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "logs RUN",
		Short: "Show the record of a run: what the agent asked for, what it was answered, and which rule decided",
		Long: "Show the record of a run, one line for each entry. RUN is its id, the beginning of one, or `latest`. For what happened and\n" +
			"why, in sentences, see `mainstay runs show`.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, entries, err := readRecord(cmd.Context(), state, args[0])
			if err != nil {
				return err
			}
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, entries)
			}
			return runs.Story(entries, cmd.OutOrStdout())
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}
