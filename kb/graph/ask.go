package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Question is what a person or a model asks a graph.
type Question struct {
	// Ask is what is wanted to know; see Questions.
	Ask string
	// Of are the entities that it is about: ids, or names. A name of several is the catalog's component, or else what comes first in
	// system, api, resource, domain, group, workloads and Service. For the question image it is an image.
	Of []string
	// Depth is how far is looked, up to MaxDepth, and Most how many entities are told, up to MaxFound.
	Depth, Most int
}

// Questions are what can be asked, sorted: what a change can reach, what an entity needs, the entities of a name, who runs an image,
// all that are declared, who is responsible, the shortest way between two, and what has any relation to one.
var Questions = []string{"blast", "depends", "find", "image", "list", "owner", "path", "related"}

// Check says why a question cannot be asked.
func (q Question) Check() error {
	need := 1
	switch q.Ask {
	case "list":
		need = 0
	case "path":
		need = 2
	}
	switch {
	case !slices.Contains(Questions, q.Ask):
		return fmt.Errorf("unknown question %.40q: use one of %s", q.Ask, strings.Join(Questions, ", "))
	case len(q.Of) != need:
		return fmt.Errorf("%s is about %s, and %d are named", q.Ask, [3]string{"no entity", "one entity", "two entities"}[need], len(q.Of))
	case q.Depth < 1 || q.Depth > MaxDepth:
		return fmt.Errorf("a depth of %d is out of range: use 1 to %d", q.Depth, MaxDepth)
	case q.Most < 1 || q.Most > MaxFound:
		return fmt.Errorf("a limit of %d is out of range: use 1 to %d", q.Most, MaxFound)
	}
	return nil
}

// Ask answers a question. The error says what was not found, or what else a name may mean.
func (g *Graph) Ask(q Question) (Answer, error) {
	if err := q.Check(); err != nil {
		return Answer{}, err
	}
	switch q.Ask {
	case "list":
		all := g.Entities()
		return Answer{Found: all[:min(len(all), q.Most)], LeftOut: max(len(all)-q.Most, 0)}, nil
	case "image":
		answer := g.RunsImage(q.Of[0], q.Most)
		if len(answer.Found) == 0 {
			return answer, fmt.Errorf("nothing runs the image %.200q, or builds upon it", q.Of[0])
		}
		return answer, nil
	case "find":
		found, near := g.Find(q.Of[0], q.Most)
		if len(found) == 0 {
			return Answer{}, unknown(q.Of[0], near)
		}
		return Answer{Found: found}, nil
	}
	var of []Node
	for _, name := range q.Of {
		n, err := g.named(name)
		if err != nil {
			return Answer{}, err
		}
		of = append(of, n)
	}
	switch q.Ask {
	case "owner":
		return g.Owners(of[0], q.Most), nil
	case "depends":
		return g.DependsOn(of[0], q.Depth, q.Most), nil
	case "blast":
		return g.BlastRadius(of[0], q.Depth, q.Most), nil
	case "related":
		return g.Related(of[0], q.Depth, q.Most), nil
	}
	return g.Path(of[0], of[1]), nil
}

// maxMeant is how many entities are named where a name is that of several.
const maxMeant = 10

// meant are the kinds that people mean first by a name that entities of several kinds have: what the catalog says is in it, before what
// runs it.
var meant = []string{"component", "system", "api", "resource", "domain", "group", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Service"}

// named is the entity that is meant by a name.
func (g *Graph) named(name string) (Node, error) {
	found, near := g.Find(name, maxMeant)
	if len(found) == 0 {
		return Node{}, unknown(name, near)
	}
	exact := slices.DeleteFunc(slices.Clone(found), func(f Found) bool {
		return !strings.EqualFold(f.Node.String(), name) && !strings.EqualFold(f.Node.Name, name)
	})
	switch {
	case len(exact) == 1:
		return exact[0].Node, nil
	case len(exact) == 0 && len(found) == 1:
		return found[0].Node, nil
	}
	for _, kind := range meant {
		of := slices.DeleteFunc(slices.Clone(exact), func(f Found) bool { return f.Node.Kind != kind })
		if len(of) == 1 {
			return of[0].Node, nil
		}
		if len(of) > 1 {
			break
		}
	}
	var ids []string
	for _, f := range found {
		ids = append(ids, visible(f.Node.String()))
	}
	return Node{}, fmt.Errorf("%.200q may be several: name one of %s", name, strings.Join(ids, ", "))
}

func unknown(name string, near []string) error {
	if len(near) > 0 {
		return fmt.Errorf("nothing is called %.200q: did you mean %s?", name, visible(strings.Join(near, " or ")))
	}
	return fmt.Errorf("nothing is called %.200q: ask list for what is declared", name)
}
