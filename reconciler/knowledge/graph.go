package knowledge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/graph"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxFacts is how many files' facts are kept, and maxGraphs how many graphs.
	maxFacts  = 50_000
	maxGraphs = 16
)

// graphs keeps what graphs are made of.
type graphs struct {
	// facts are those of files, by path and blob, and moving the graphs that were asked last.
	facts  *lru.Cache[string, graph.Facts]
	moving *lru.Cache[string, *moving]
}

func newGraphs() graphs {
	facts, err := lru.New[string, graph.Facts](maxFacts)
	all, other := lru.New[string, *moving](maxGraphs)
	if err = errors.Join(err, other); err != nil {
		panic(err) // The sizes are wrong, which are constants.
	}
	return graphs{facts, all}
}

// located is where the files of a source are read.
type located struct {
	repository, commit string
	history            History
}

// Graphs returns the graphs of sources, of those that declare one: one for each repository that they are of, sorted by its URL. They hold
// what these sources hold, and nothing else. The notes say what is missing.
func (k *Keeper) Graphs(ctx context.Context, sources []*spec.KnowledgeSource) (all []*graph.Graph, notes []string, err error) {
	first, next := &patience{most: firstTime}, &patience{most: nextTime}
	var asked []*spec.KnowledgeSource
	for _, s := range sources {
		if !s.Spec.Graph || s.Spec.Web != nil {
			continue
		}
		if k.undeclared(s.Name) {
			notes = append(notes, gone(s.Name))
			continue
		}
		if err := k.await(ctx, s.Name, first, next); err != nil {
			return nil, nil, err
		}
		asked = append(asked, s)
	}
	of, unread := k.locatedOf(asked)
	for _, name := range unread {
		notes = append(notes, fmt.Sprintf("%s is not read yet, and not in this answer", name))
	}
	for _, at := range places(of) {
		g, err := k.graph(ctx, at, of[at])
		if err != nil {
			return nil, nil, err
		}
		all = append(all, g)
	}
	return all, notes, nil
}

// locatedOf groups sources that declare a graph by where their files are, and names those that are not read yet.
func (k *Keeper) locatedOf(sources []*spec.KnowledgeSource) (of map[located][]*spec.KnowledgeSource, unread []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of = map[located][]*spec.KnowledgeSource{}
	for _, s := range sources {
		if !s.Spec.Graph || s.Spec.Web != nil {
			continue
		}
		if at, ok := k.located[s.Name]; ok {
			of[at] = append(of[at], s)
		} else {
			unread = append(unread, s.Name)
		}
	}
	return of, unread
}

// places are where files are, sorted.
func places(of map[located][]*spec.KnowledgeSource) []located {
	return slices.SortedFunc(maps.Keys(of), func(a, b located) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), cmp.Compare(a.commit, b.commit))
	})
}

// GraphAt is the graph of sources at another commit of this repository, by the globs that they declare now.
func (k *Keeper) GraphAt(ctx context.Context, sources []*spec.KnowledgeSource, history History, commit string) (*graph.Graph, error) {
	sources = slices.DeleteFunc(slices.Clone(sources), func(s *spec.KnowledgeSource) bool { return !s.Spec.Graph || s.Spec.Files == nil })
	return k.graphOf(ctx, located{commit: commit, history: history}, sources)
}

// graphOf makes the graph of sources of one commit. What a file declares is taken out of it once.
func (k *Keeper) graphOf(ctx context.Context, at located, sources []*spec.KnowledgeSource) (*graph.Graph, error) {
	files, err := at.history.Snapshot(at.commit)
	if err != nil {
		return nil, err
	}
	g := graph.New(at.repository)
	g.SetCommit(at.commit)
	for _, s := range sources {
		all, err := listed(files, selectionOf(s))
		if err == nil {
			err = k.declared(ctx, files, at.commit, s, all, g.Put)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// declared tells what files of a source declare.
func (k *Keeper) declared(ctx context.Context, files *remote.Snapshot, commit string, source *spec.KnowledgeSource, all []kb.File, tell func(graph.Facts)) error {
	shaped, err := k.shapesOf(ctx, files, commit, source)
	if err != nil {
		return err
	}
	shaped.put(all)
	r := k.renderer(files, shaped)
	defer r.close()
	for _, f := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !graph.Reads(f.Path) {
			continue
		}
		facts, err := k.factsOf(ctx, r, f.Path, f.Blob)
		if err != nil {
			return fmt.Errorf("read %s at %s: %w", f.Path, Short(commit), err)
		}
		tell(facts)
	}
	return nil
}

func (k *Keeper) factsOf(ctx context.Context, r *renderer, path, blob string) (graph.Facts, error) {
	key := path + "\x00" + blob
	if facts, ok := k.graphs.facts.Get(key); ok {
		return facts, nil
	}
	content, err := r.files.ReadFile(path)
	if errors.Is(err, remote.ErrTooLarge) {
		return graph.Facts{Path: path}, nil
	}
	if err != nil {
		return graph.Facts{}, err
	}
	m, err := r.of(ctx, path)
	if err != nil {
		return graph.Facts{}, err
	}
	var facts graph.Facts
	if m != nil && len(m.Objects[path]) > 0 {
		facts = graph.ExtractRendered(path, content, m.Objects[path], m.leftOut(), m.written()...)
	} else {
		facts = graph.Extract(path, content)
	}
	k.graphs.facts.Add(key, facts)
	return facts, nil
}

// locate notes where a source's files are.
func (j *job) locate(history History, commit string) {
	at := located{commit: commit, history: history}
	if j.source.Spec.Git != nil {
		at.repository = strings.TrimSuffix(j.source.Spec.Git.URL, "/")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.located[j.source.Name] = at
}
