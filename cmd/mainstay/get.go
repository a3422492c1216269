package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

// table is a view of the state: rows for people, items for programs.
type table struct {
	header []string
	rows   [][]string
	items  any
}

// views are what `mainstay get` shows.
var views = map[string]func(s reconciler.Status, now time.Time) table{
	"agents": func(s reconciler.Status, now time.Time) table {
		t := table{header: []string{"NAME", "READY", "STATE", "RUNS", "ISOLATION", "RESTARTS", "REVISION", "AGE", "MESSAGE"}, items: s.Agents}
		for _, a := range s.Agents {
			text := strings.TrimSuffix(message(a.Conditions), ", isolation "+a.Isolation) // It has a column of its own.
			t.rows = append(t.rows, []string{string(a.Name), readiness(a.Conditions), agentState(a), agentRuns(a), dash(a.Isolation),
				fmt.Sprint(a.Restarts), a.Revision.Short(), since(now, a.Since), text})
		}
		return t
	},
	"suspensions": suspensions,
	"runs":        func(s reconciler.Status, now time.Time) table { return runsTable(s.Runs, s, now) },
	"proposals": func(s reconciler.Status, now time.Time) table {
		t := table{header: []string{"KEY", "AGENT", "KIND", "STATE", "HEAD", "RUN", "AGE", "TITLE"}, items: s.Proposals}
		for _, p := range s.Proposals {
			t.rows = append(t.rows, []string{string(p.Key), string(p.Agent), p.Kind, p.State,
				p.Head[:min(shortHead, len(p.Head))], string(p.Run), since(now, p.At), p.Title})
		}
		return t
	},
	"actions": func(s reconciler.Status, _ time.Time) table {
		t := table{header: []string{"ACTION", "STATE", "SUMMARY", "MESSAGE"}, items: s.Actions}
		for _, a := range s.Actions {
			t.rows = append(t.rows, []string{string(a.ID), a.State, a.Summary, firstLine(a.Message)})
		}
		return t
	},
	"models": func(s reconciler.Status, _ time.Time) table {
		t := table{header: []string{"NAME", "READY", "PROVIDER", "MODEL", "HAS", "MESSAGE"}, items: s.Models}
		for _, m := range s.Models {
			t.rows = append(t.rows, []string{m.Name, readiness(m.Conditions), m.Provider, dash(spec.Visible(m.Model)), dash(m.Has.Short()), message(m.Conditions)})
		}
		return t
	},
	"resources": func(s reconciler.Status, _ time.Time) table {
		t := table{header: []string{"RESOURCE", "READY", "DIGEST", "FILE", "MESSAGE"}, items: s.Resources}
		for _, r := range s.Resources {
			t.rows = append(t.rows, []string{r.Ref.String(), readiness(r.Conditions), r.Digest.Short(), r.Place.File, message(r.Conditions)})
		}
		return t
	},
	"revisions": func(s reconciler.Status, now time.Time) table {
		t := table{header: []string{"REVISION", "READY", "AGE", "MESSAGE"}, items: s.Revisions}
		for _, r := range s.Revisions {
			text := message(r.Conditions)
			if len(r.Problems) > 0 && readiness(r.Conditions) != "True" {
				text = r.Problems[0]
			}
			t.rows = append(t.rows, []string{r.Revision.Short(), readiness(r.Conditions), since(now, r.At), firstLine(text)})
		}
		return t
	},
}

// agentState is an agent's state, with the number of its processes where it has any.
func agentState(a reconciler.AgentStatus) string {
	if len(a.Processes) == 0 {
		return a.State
	}
	return fmt.Sprintf("%s %d", a.State, len(a.Processes))
}

// agentRuns are an agent's runs under way, and those that wait for a process.
func agentRuns(a reconciler.AgentStatus) string {
	if a.Waiting == 0 {
		return fmt.Sprint(a.Runs)
	}
	return fmt.Sprintf("%d+%d waiting", a.Runs, a.Waiting)
}

func newGet() *cobra.Command {
	var state, output string
	names := []string{"agents", "runs", "proposals", "actions", "revisions", "models", "resources", "suspensions"}
	var singular []string
	for _, name := range names {
		singular = append(singular, strings.TrimSuffix(name, "s"))
	}
	cmd := &cobra.Command{
		Use:   "get agents|runs|proposals|actions|revisions|models|resources|suspensions [NAME]",
		Short: "Show what runs, what waits and what was done, or the one with a name",
		Example: "  mainstay get agents\n" +
			"  mainstay get agent triage -o yaml\n" +
			"  mainstay get action triage-01jd",
		ValidArgs: names,
		Args:      arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			i := max(slices.Index(names, args[0]), slices.Index(singular, args[0]))
			if i < 0 {
				return usageError{fmt.Errorf("there is no %q to get; get one of %s", args[0], strings.Join(names, ", "))}
			}
			if names[i] == "runs" {
				if len(args) == 2 {
					return usageError{fmt.Errorf("one run is shown by `mainstay describe run %s`", args[1])}
				}
				return listRuns(cmd, state, output, reconciler.RunFilter{Limit: runsListed})
			}
			s, err := readStatus(cmd.Context(), state, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			t := views[names[i]](s, time.Now())
			if len(args) == 2 {
				if t, err = t.named(names[i], args[1]); err != nil {
					return err
				}
			}
			return t.print(cmd.OutOrStdout(), output)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}

func addStateFlag(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", "", "the state `folder` of the daemon (default: the only one there is)")
}

// addOwnStateFlag is for the commands that make the state folder.
func addOwnStateFlag(cmd *cobra.Command, state *string) {
	cmd.Flags().StringVar(state, "state", "",
		"the `folder` that keeps the state (default: a folder of its own under $XDG_STATE_HOME/mainstay or ~/.local/state/mainstay)")
}

func addOutputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "", "the `format`: json or yaml instead of a table")
}

// named is the table with the one row that begins with a name, or with the beginning of one that no other has. For programs it is
// that item alone.
func (t table) named(kind, name string) (table, error) {
	var found []int
	for i, row := range t.rows {
		if row[0] == name {
			found = []int{i}
			break
		}
		if strings.HasPrefix(row[0], name) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		var names []string
		for _, row := range t.rows {
			names = append(names, row[0])
		}
		hint := near.Hint(name, names, fmt.Sprintf("`mainstay get %s` lists those there are", kind))
		return table{}, fmt.Errorf("no %s %q; %s", strings.TrimSuffix(kind, "s"), spec.Visible(name), hint)
	case 1:
	default:
		return table{}, usageError{fmt.Errorf("%q is the beginning of %d %s; write more of it", name, len(found), kind)}
	}
	item := reflect.ValueOf(t.items).Index(found[0]).Interface()
	return table{header: t.header, rows: t.rows[found[0] : found[0]+1], items: item}, nil
}

// print writes the table to w, or its items as JSON or YAML.
func (t table) print(w io.Writer, output string) error {
	if output != "" {
		return printItems(w, output, t.items)
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(w, "none")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range slices.Concat([][]string{t.header}, t.rows) {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	return tw.Flush()
}

func printItems(w io.Writer, output string, items any) error {
	b, err := encodeJSON(items)
	if err != nil {
		return err
	}
	switch output {
	case "json":
	case "yaml":
		if b, err = yaml.JSONToYAML(b); err != nil {
			return err
		}
	default:
		return usageError{fmt.Errorf("unknown output format %q; use json or yaml", output)}
	}
	_, err = w.Write(b)
	return err
}

func readiness(list []metav1.Condition) string {
	for _, c := range list {
		if c.Type == reconciler.ConditionReady {
			return string(c.Status)
		}
	}
	return "Unknown"
}

func message(list []metav1.Condition) string {
	if why := suspendedBy(list); why != "" {
		return firstLine(why)
	}
	for _, c := range list {
		if c.Type == reconciler.ConditionReady {
			return firstLine(c.Message)
		}
	}
	return ""
}

func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// maxCell bounds a cell of a table, in characters.
const maxCell = 120

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return s
}

func proposals(n int) string {
	if n == 1 {
		return "1 proposal"
	}
	return fmt.Sprintf("%d proposals", n)
}

// proposalName says what a run waits for.
func proposalName(p spec.Proposal) string {
	if p.Kind == spec.ProposalDirect {
		return "action " + string(p.Action)
	}
	return "proposal " + string(p.Key)
}
