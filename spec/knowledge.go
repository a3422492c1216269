package spec

import (
	"net/url"
	"strings"
)

// resolveKnowledge checks the knowledge sources, once the models are resolved.
func (l *loader) resolveKnowledge() map[string]*KnowledgeSource {
	out := map[string]*KnowledgeSource{}
	for _, name := range names(l.knowledge) {
		e := l.knowledge[name]
		w, n := e.written, e.spec
		set := 0
		for _, is := range []bool{w.Files != nil, w.Git != nil, w.Web != nil} {
			if is {
				set++
			}
		}
		if set != 1 {
			l.missing(e.document, n, "files are in this repository, git is another one, web is a site", "the knowledge source needs exactly one of files, git and web")
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
		}
		if c := w.Chunk; c != nil && c.Overlap > 0 && c.Overlap >= max(c.Size, 1) && c.Size > 0 {
			l.error(n.at("chunk", "overlap"), "make it less than the size", "the overlap of chunks is %d, and their size %d", c.Overlap, c.Size)
		}
		source := &KnowledgeSource{Resource: l.resource(e.document), Spec: w}
		if w.Embed != "" && known(l, n.at("embed"), KindModel, w.Embed, l.models) {
			source.DependsOn = []Ref{{KindModel, w.Embed}}
			source.Embed = l.out.Models[w.Embed]
			l.embeds(n.at("embed"), source.Embed)
		}
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

// knowledgeDigest is over what a source finds, and what makes vectors of it.
func (l *loader) knowledgeDigest(s *KnowledgeSource) Digest {
	content := struct {
		Spec  KnowledgeSourceSpec
		Embed Digest `json:",omitempty"`
	}{Spec: s.Spec}
	if s.Embed != nil {
		content.Embed = s.Embed.Digest
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
