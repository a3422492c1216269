package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/spec"
)

// graphQuestions are what a graph can be asked, and how many entities each needs.
var graphQuestions = map[string]int{"find": 1, "list": 0, "owner": 1, "depends": 1, "blast": 1, "related": 1, "path": 2, "image": 1, "changes": 0}

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
			"An entity is its id, such as Deployment.apps:shop/cart, or a name that only one has.",
		Example: "  mainstay kb graph owner checkout\n" +
			"  mainstay kb graph blast Service:shop/cart -o mermaid\n" +
			"  mainstay kb graph changes --against origin/main",
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			need, known := graphQuestions[args[0]]
			switch {
			case !known:
				return usageError{fmt.Errorf("unknown question %q: use some of %s", args[0], strings.Join(slices.Sorted(maps.Keys(graphQuestions)), ", "))}
			case len(args)-1 != need:
				return usageError{fmt.Errorf("%s needs %s, and %d are given", args[0], count(need, "entity"), len(args)-1)}
			case (args[0] == "changes") != (against != ""):
				return usageError{errors.New("changes goes with --against REVISION")}
			case depth < 1 || depth > graph.MaxDepth:
				return usageError{fmt.Errorf("--depth %d is out of range: use 1 to %d", depth, graph.MaxDepth)}
			case most < 1 || most > graph.MaxFound:
				return usageError{fmt.Errorf("--limit %d is out of range: use 1 to %d", most, graph.MaxFound)}
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
			if args[0] == "changes" {
				return l.graphChanges(cmd, seen, against, output)
			}
			failed := errors.New("no graph was read")
			for _, g := range all {
				answer, err := askGraph(g.Graph, args, depth, most)
				if failed = err; err != nil {
					continue // Another repository may have it.
				}
				if g.Repository != "" && output == "" {
					fmt.Fprintf(cmd.OutOrStdout(), "# %s\n", spec.Visible(g.Repository))
				}
				if err := writeAnswer(cmd.OutOrStdout(), answer, output); err != nil {
					return err
				}
				return nil
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

// askGraph asks one graph.
func askGraph(g *graph.Graph, args []string, depth, most int) (graph.Answer, error) {
	switch args[0] {
	case "list":
		all := g.Entities()
		return graph.Answer{Found: all[:min(len(all), most)], LeftOut: max(len(all)-most, 0)}, nil
	case "image":
		answer := g.RunsImage(args[1], most)
		if len(answer.Of) == 0 && len(answer.Found) == 0 {
			return answer, fmt.Errorf("nothing runs the image %q, or builds upon it", args[1])
		}
		return answer, nil
	case "find":
		found, near := g.Find(args[1], most)
		if len(found) == 0 {
			return graph.Answer{}, unknownEntity(args[1], near)
		}
		return graph.Answer{Found: found}, nil
	}
	var of []graph.Node
	for _, name := range args[1:] {
		n, err := entity(g, name)
		if err != nil {
			return graph.Answer{}, err
		}
		of = append(of, n)
	}
	switch args[0] {
	case "owner":
		return g.Owners(of[0], most), nil
	case "depends":
		return g.DependsOn(of[0], depth, most), nil
	case "blast":
		return g.BlastRadius(of[0], depth, most), nil
	case "related":
		return g.Related(of[0], depth, most), nil
	}
	return g.Path(of[0], of[1]), nil
}

// maxMeant is how many entities are named where a name is that of several.
const maxMeant = 10

// entity is what a person means by a name.
func entity(g *graph.Graph, name string) (graph.Node, error) {
	found, near := g.Find(name, maxMeant)
	if len(found) == 0 {
		return graph.Node{}, unknownEntity(name, near)
	}
	exact := slices.DeleteFunc(slices.Clone(found), func(f graph.Found) bool {
		return !strings.EqualFold(f.Node.String(), name) && !strings.EqualFold(f.Node.Name, name)
	})
	if len(exact) == 1 {
		return exact[0].Node, nil
	}
	if len(exact) == 0 && len(found) == 1 {
		return found[0].Node, nil
	}
	var names []string
	for _, f := range found {
		names = append(names, f.Node.String())
	}
	return graph.Node{}, fmt.Errorf("%q is several: name one of %s", name, strings.Join(names, ", "))
}

func unknownEntity(name string, near []string) error {
	if len(near) > 0 {
		return fmt.Errorf("nothing is called %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return fmt.Errorf("nothing is called %q: `mainstay kb graph list` lists what is declared", name)
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
