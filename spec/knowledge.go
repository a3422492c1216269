package spec

import (
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// resolveKnowledge checks the knowledge sources, once the models are resolved.
func (l *loader) resolveKnowledge() map[string]*KnowledgeSource {
	out := map[string]*KnowledgeSource{}
	for _, name := range names(l.knowledge) {
		e := l.knowledge[name]
		w, n := e.written, e.spec
		set := 0
		for _, is := range []bool{w.Files != nil, w.Git != nil, w.Web != nil, w.History != nil} {
			if is {
				set++
			}
		}
		if set != 1 {
			l.missing(e.document, n, "files are in this repository, git is another one, web is a site, history are past runs", "the knowledge source needs exactly one of files, git, web and history")
		}
		if w.Files != nil {
			l.knowledgeFiles(n.at("files"), *w.Files)
		}
		if w.Git != nil {
			if (w.Git.Commit == "") == (w.Git.Branch == "") {
				l.missing(e.document, n.at("git"), "a commit is pinned, a branch is followed", "the repository needs exactly one of commit and branch")
			}
			l.secret(e.document, n.at("git", "credential"), w.Git.Credential)
			l.knowledgeFiles(n.at("git"), w.Git.KnowledgeFiles)
		}
		if w.Web != nil {
			l.knowledgeWeb(n.at("web"), w.Web)
			if w.Graph && set == 1 {
				l.error(n.keyOf("graph"), "leave it out", "a graph is taken from files, and pages of a site declare nothing")
			}
		}
		if w.History != nil {
			l.knowledgeHistory(n.at("history"), w.History)
			if w.Graph {
				l.error(n.keyOf("graph"), "leave it out", "a graph is taken from files, and past runs declare nothing")
			}
		}
		if c := w.Chunk; c != nil && c.Overlap > 0 && c.Overlap >= max(c.Size, 1) && c.Size > 0 {
			l.error(n.at("chunk", "overlap"), "make it less than the size", "the overlap of chunks is %d, and their size %d", c.Overlap, c.Size)
		}
		source := &KnowledgeSource{Resource: l.resource(e.document), Spec: w}
		if source.Embed = l.knowledgeModel(n.at("embed"), source, w.Embed); source.Embed != nil {
			l.embeds(n.at("embed"), source.Embed)
		}
		source.Rerank = l.uncounted(n.at("rerank"), source, w.Rerank)
		source.Rewrite = l.uncounted(n.at("rewrite"), source, w.Rewrite)
		source.Digest = l.knowledgeDigest(source)
		out[name] = kept(l, e.document, source)
	}
	return out
}

// embeds checks that a model can make vectors.
func (l *loader) embeds(n *node, m *Model) {
	if m != nil && m.Spec.Provider != ProviderOllama && m.Spec.Provider != ProviderOpenAI {
		l.error(n, "name a Model of provider ollama or openai", "the model %q is of provider %s, which makes no vectors", m.Name, m.Spec.Provider)
	}
}

// knowledgeModel is the model that a source names; nil where it names none, or none that is declared.
func (l *loader) knowledgeModel(n *node, s *KnowledgeSource, name string) *Model {
	if name == "" || !known(l, n, KindModel, name, l.models) {
		return nil
	}
	if ref := (Ref{KindModel, name}); !slices.Contains(s.DependsOn, ref) {
		s.DependsOn = append(s.DependsOn, ref)
	}
	return l.out.Models[name]
}

// uncounted is a model that is asked with a search, which counts for no run: it must have neither a price nor a budget.
func (l *loader) uncounted(n *node, s *KnowledgeSource, name string) *Model {
	m := l.knowledgeModel(n, s, name)
	if m != nil && (m.Spec.Budget != nil || m.Spec.Price != nil && (m.Spec.Price.Input > 0 || m.Spec.Price.Output > 0)) {
		l.error(n, "name a Model without them, such as a local one", "the model %q has a price or a budget, and what searches ask of it is counted for no run", m.Name)
	}
	return m
}

// knowledgeDigest is over what a source finds, and the models that are asked for it.
func (l *loader) knowledgeDigest(s *KnowledgeSource) Digest {
	content := struct {
		Spec                   KnowledgeSourceSpec
		Embed, Rerank, Rewrite Digest `json:",omitempty"`
	}{Spec: s.Spec}
	for i, digest := range []*Digest{&content.Embed, &content.Rerank, &content.Rewrite} {
		if m := []*Model{s.Embed, s.Rerank, s.Rewrite}[i]; m != nil {
			*digest = m.Digest
		}
	}
	return l.digest(s.Place, content)
}

func (l *loader) knowledgeFiles(n *node, f KnowledgeFiles) {
	l.globs(n.at("include"), f.Include)
	l.globs(n.at("exclude"), f.Exclude)
}

// knowledgeWeb checks that what may be read is on the site that the sitemap is of, or is said with its host.
func (l *loader) knowledgeWeb(n *node, w *KnowledgeWeb) {
	for i, prefix := range w.Allow {
		u, err := url.Parse(prefix)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.HasPrefix(u.Path, "/") {
			l.error(n.at("allow", i), "write it with its host and a path, as https://example.com/docs/", "%q is not the beginning of a URL", shorten(prefix, 80))
		}
	}
}

// knowledgeHistory checks whose runs are read.
func (l *loader) knowledgeHistory(n *node, h *KnowledgeHistory) {
	for i, agent := range h.Agents {
		at := n.at("agents", i)
		switch {
		case !l.once(at, "agent", h.Agents[:i], agent):
		case !strings.ContainsAny(agent, `*?[]{}\`):
			known(l, at, KindAgent, agent, l.agents)
		case strings.ContainsAny(agent, `/\`) || !doublestar.ValidatePattern(agent):
			l.error(at, "write a name, or a glob over names such as triage-*", "%q matches no agent's name", shorten(agent, 80))
		}
	}
	for i, what := range h.Include {
		l.once(n.at("include", i), "kind", h.Include[:i], what)
	}
}
