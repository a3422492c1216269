package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

func newCost(env environment) *cobra.Command {
	var state, output, by, since string
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Show what models have cost: tokens, money, and the seconds of those on a machine of one's own",
		Long: "Sum what runs have asked of models, by run, agent, model or day. Money is counted by the prices in the repository as they\n" +
			"were then, for each currency by itself; of a local model the time it worked is told. Days are those of UTC. Runs that are\n" +
			"forgotten, as spec.store.retention of the Fleet says, are in the sums of 400 days.",
		Example: "  mainstay cost\n" +
			"  mainstay cost --by day --since 30d\n" +
			"  mainstay cost --by model --since 2026-11-01 -o json",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := reconciler.CostQuery{By: by}
			if !slices.Contains(reconciler.CostFields(), by) {
				return usageError{fmt.Errorf("costs are not summed by %q; use --by %s", by, strings.Join(reconciler.CostFields(), ", "))}
			}
			from, err := parseSince(since, env.clock()())
			if err != nil {
				return usageError{err}
			}
			if !from.IsZero() {
				q.Since = spec.Day(from)
			}
			dir, err := findState(state)
			if err != nil {
				return err
			}
			r, err := openReader(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer r.close()
			costs, err := r.costs(cmd.Context(), q)
			if err != nil {
				return err
			}
			return costTable(by, costs).print(cmd.OutOrStdout(), output)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	cmd.Flags().StringVar(&by, "by", reconciler.CostByAgent, "the `field` to sum by: "+strings.Join(reconciler.CostFields(), ", "))
	cmd.Flags().StringVar(&since, "since", "", "only whole days since then: a `time` ago such as 7d, or a date such as 2026-11-28")
	return cmd
}

func costTable(by string, costs []reconciler.Cost) table {
	t := table{header: []string{strings.ToUpper(by), "ANSWERS", "INPUT", "CACHED", "OUTPUT", "REASONING", "BUSY", "COST"}, items: costs}
	for _, c := range costs {
		row := []string{c.Name, fmt.Sprint(c.Answers), fmt.Sprint(c.Usage.Input), fmt.Sprint(c.Usage.Cached), fmt.Sprint(c.Usage.Output),
			fmt.Sprint(c.Usage.Reasoning), busy(c.Usage), costText(c.Costs)}
		if c.Name == "" {
			row[0] = "forgotten"
		}
		if by == reconciler.CostByRun {
			row = slices.Insert(row, 1, dash(string(c.Agent)))
		}
		t.rows = append(t.rows, row)
	}
	if by == reconciler.CostByRun {
		t.header = slices.Insert(t.header, 1, "AGENT")
	}
	return t
}

// busy is how long local models have worked, or a dash.
func busy(u spec.Usage) string {
	if u.Busy == 0 {
		return "-"
	}
	return u.Busy.Round(time.Millisecond).String()
}

func costText(costs []reconciler.Money) string {
	var all []string
	for _, m := range costs {
		all = append(all, spec.Usage{Cost: m.Amount, Currency: m.Currency}.Money())
	}
	return dash(strings.Join(all, ", "))
}

// usageText says what models have taken, for people.
func usageText(u spec.Usage) string {
	part := func(n int, what string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(" (%d %s)", n, what)
	}
	text := fmt.Sprintf("%d tokens read%s and %d written%s", u.Input, part(u.Cached, "cached"), u.Output, part(u.Reasoning, "reasoning"))
	if u.Busy > 0 {
		text += ", busy for " + busy(u)
	}
	if money := u.Money(); money != "" {
		text += ", " + money
	}
	return text
}
