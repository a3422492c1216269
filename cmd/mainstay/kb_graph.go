package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/spec"
)

func newKBGraph(env environment) *cobra.Command {
	var (
		flags   kbFlags
		agent   string
		output  string
		against string
		depth   int
		most    int
	)
	cmd := &cobra.Command{
		Use:   "graph find|list|owner|depends|blast|related|path|image|changes [ENTITY...]",
		Short: "Ask how what the knowledge sources declare hangs together",
		Long: "Ask how services, owners, workloads, images, configuration and what deploys them hang together, as the files of the\n" +
			"KnowledgeSources with graph: true declare it. No model is asked. Each relation has the file, line and commit that says so.\n\n" +
			"  find NAME        entities that are called so\n" +
			"  list             all entities that are declared\n" +
			"  owner ENTITY     who is responsible\n" +
			"  depends ENTITY   what it needs (--depth)\n" +
			"  blast ENTITY     what a change of it can reach (--depth)\n" +
			"  related ENTITY   what has any relation to it (--depth)\n" +
			"  path FROM TO     the shortest way between two\n" +
			"  image IMAGE      who runs an image\n" +
			"  changes          what differs from another commit (--against)\n\n" +
			"An entity is its id, such as Deployment.apps:shop/cart, or its name: of several with that name the catalog's component comes\n" +
			"first, then what else the catalog has, then workloads and Services.",
		Example: "  mainstay kb graph owner checkout\n" +
			"  mainstay kb graph blast Service:shop/cart -o mermaid\n" +
			"  mainstay kb graph changes --against origin/main",
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			q := graph.Question{Ask: args[0], Of: args[1:], Depth: depth, Most: most}
			if err := q.Check(); err != nil && args[0] != "changes" {
				return usageError{err}
			}
			switch {
			case args[0] == "changes" && len(args) > 1:
				return usageError{errors.New("changes needs no entity")}
			case (args[0] == "changes") != (against != ""):
				return usageError{errors.New("changes goes with --against REVISION")}
			case !slices.Contains([]string{"", "json", "mermaid", "dot"}, output):
				return usageError{fmt.Errorf("unknown output format %q; use json, mermaid or dot", output)}
			}
			l, err := flags.open(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.done()) }()
			seen, err := l.seenBy(agent)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(seen, func(s *spec.KnowledgeSource) bool { return s.Spec.Graph && s.Spec.Web == nil }) {
				return fmt.Errorf("no KnowledgeSource at %s has a graph: write graph: true into one of files or git", l.name)
			}
			states, err := l.bring(cmd, nil)
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(states)) {
				tellSource(cmd, name, states[name], false)
			}
			all, notes, err := l.keeper.Graphs(cmd.Context(), seen)
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), n)
			}
			tellUnread(cmd.ErrOrStderr(), all)
			if args[0] == "changes" {
				return l.graphChanges(cmd, seen, against, output)
			}
			failed := errors.New("no graph was read")
			for _, g := range all {
				answer, err := g.Ask(q)
				if failed = err; err != nil {
					continue // Another repository may have it.
				}
				return writeAnswer(cmd.OutOrStdout(), answer, output)
			}
			return failed
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&agent, "agent", "", "ask what this `agent` may search")
	cmd.Flags().StringVar(&against, "against", "", "the `REVISION` that changes are told from")
	cmd.Flags().IntVar(&depth, "depth", 4, "how `far` is looked")
	cmd.Flags().IntVar(&most, "limit", 200, "how many entities are told, up to `number`")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `format`: json, mermaid or dot instead of text")
	return cmd
}

// maxUnread is how many problems of graphs a person is told.
const maxUnread = 10

// tellUnread tells what of the files could not be read, and so is in no graph.
func tellUnread(out io.Writer, all []*graph.Graph) {
	n := 0
	for _, g := range all {
		for _, path := range g.Files() {
			for _, p := range g.Problems(path) {
				if p.Harmless {
					continue
				}
				if n++; n <= maxUnread {
					fmt.Fprintf(out, "not read: %s:%d: %s\n", inLine(path), p.Line, inLine(p.Text))
				}
			}
		}
	}
	if n > maxUnread {
		fmt.Fprintf(out, "not read: %d more\n", n-maxUnread)
	}
}

func writeAnswer(out io.Writer, answer graph.Answer, output string) error {
	switch output {
	case "json":
		return answer.JSON(out)
	case "mermaid":
		return answer.Mermaid(out)
	case "dot":
		return answer.DOT(out)
	}
	return answer.Text(out)
}

// graphChanges tells what differs from another commit.
func (l *library) graphChanges(cmd *cobra.Command, seen []*spec.KnowledgeSource, against, output string) error {
	if output != "" && output != "json" {
		return usageError{fmt.Errorf("changes have no format %s; use json", output)}
	}
	commit, err := (&planner{declared: l.declared}).resolve(against)
	if err != nil {
		return err
	}
	before, err := l.keeper.GraphAt(cmd.Context(), seen, l.here.History, commit)
	if err != nil {
		return err
	}
	after, err := l.keeper.GraphAt(cmd.Context(), seen, l.here.History, l.here.Commit)
	if err != nil {
		return err
	}
	changes := graph.Compare(before, after)
	if output == "json" {
		return changes.JSON(cmd.OutOrStdout())
	}
	return changes.Text(cmd.OutOrStdout())
}

// seenBy are the sources that an agent may search, or all of them, sorted by name.
func (l *library) seenBy(agent string) ([]*spec.KnowledgeSource, error) {
	seen := slices.Collect(maps.Values(l.fleet.Knowledge))
	if agent != "" {
		a := l.fleet.Agents[spec.AgentName(agent)]
		if a == nil {
			return nil, fmt.Errorf("there is no agent %q at %s", agent, l.name)
		}
		seen = slices.Clone(a.Knowledge)
	}
	slices.SortFunc(seen, func(a, b *spec.KnowledgeSource) int { return cmp.Compare(a.Name, b.Name) })
	return seen, nil
}
