package graph

import (
	"path"
	"strings"
)

// argo reads the resources of Argo CD. Those of Argo Rollouts, Workflows and Events have pods, which are read for every kind.
func (r resource) argo(kind string) {
	switch kind {
	case "Application":
		r.application(r.spec)
	case "ApplicationSet":
		r.application(r.spec.get("template", "spec"))
		for generator := range r.spec.get("generators").items() {
			r.generator(generator, 0)
		}
	case "AppProject":
		for repo := range r.spec.get("sourceRepos").items() {
			if !strings.Contains(repo.text(), "*") {
				r.link(r.self, SourcedFrom, repository(repo.text()), repo.line())
			}
		}
		for to := range r.spec.get("destinations").items() {
			r.destination(to)
		}
	}
}

func (r resource) application(spec value) {
	if project := spec.get("project"); project.text() != "" {
		r.link(r.self, PartOf, r.named("argoproj.io", "AppProject", project), project.line())
	}
	r.destination(spec.get("destination"))
	sources := []value{}
	if s := spec.get("source"); s.there() {
		sources = append(sources, s)
	}
	refs := map[string]Node{}
	for s := range spec.get("sources").items() {
		sources = append(sources, s)
		if ref := s.get("ref").text(); ref != "" {
			refs["$"+ref] = r.rootOf(s)
		}
	}
	for _, s := range sources {
		r.source(s, refs)
	}
}

// rootOf is the root of a source's repository: a folder of this one, where it is written relative to the file, or another repository.
func (r resource) rootOf(s value) Node {
	url := s.get("repoURL").text()
	if relative, local := strings.CutPrefix(url, "cnoe://"); local {
		return r.beside(relative)
	}
	if !plain(url) {
		return Node{}
	}
	return Node{Kind: KindPath, Namespace: repository(url).Name, Name: "."}
}

// below is a path beneath the root of a repository, or nothing where none is written.
func below(root Node, relative string) Node {
	if root.Name == "" || relative == "" {
		return Node{}
	}
	relative = path.Clean(strings.TrimLeft(relative, "/"))
	if relative == ".." || strings.HasPrefix(relative, "../") {
		return Node{}
	}
	root.Name = path.Join(root.Name, relative)
	return root
}

func (r resource) source(s value, refs map[string]Node) {
	url, root := s.get("repoURL"), r.rootOf(s)
	version := s.get("targetRevision").text()
	if root.Namespace != "" {
		r.add(Link{From: r.self, Relation: SourcedFrom, To: repository(url.text()), Version: version, Line: url.line()})
	}
	if chart := s.get("chart"); chart.text() != "" {
		r.add(Link{From: r.self, Relation: Deploys, To: Node{Kind: KindChart, Name: chart.text()}, Version: version, Line: chart.line()})
	} else if p := s.get("path"); p.text() != "" {
		r.link(r.self, Deploys, below(root, p.text()), p.line())
	}
	for file := range s.get("helm", "valueFiles").items() {
		ref, rest, _ := strings.Cut(file.text(), "/")
		if from, found := refs[ref]; found {
			r.link(r.self, Includes, below(from, rest), file.line())
		} else if !s.get("chart").there() {
			r.link(r.self, Includes, below(below(root, s.get("path").text()), file.text()), file.line())
		}
	}
	r.images(r.self, s.get("helm", "valuesObject"))
}

func (r resource) destination(to value) {
	if ns := to.get("namespace"); ns.text() != "" && !strings.Contains(ns.text(), "*") {
		r.link(r.self, DeploysTo, Node{Kind: "Namespace", Name: ns.text()}, ns.line())
	}
}

// generator reads the folders and files of a repository that an ApplicationSet is for. A pattern stands for the folder above it.
func (r resource) generator(g value, depth int) {
	if git := g.get("git"); git.there() {
		root := r.rootOf(git)
		if root.Namespace != "" {
			r.add(Link{From: r.self, Relation: SourcedFrom, To: repository(git.get("repoURL").text()), Version: git.get("revision").text(), Line: git.get("repoURL").line()})
		}
		for d := range git.get("directories").items() {
			if d.get("exclude").text() != "true" {
				r.link(r.self, Deploys, below(root, folderOf(d.get("path").text())), d.get("path").line())
			}
		}
		for f := range git.get("files").items() {
			r.link(r.self, Includes, below(root, folderOf(f.get("path").text())), f.get("path").line())
		}
	}
	if depth >= 2 {
		return // Argo CD nests no deeper.
	}
	for _, several := range []string{"matrix", "merge"} {
		for inner := range g.get(several, "generators").items() {
			r.generator(inner, depth+1)
		}
	}
}

// folderOf is the folder above the first wildcard of a pattern, or the path if it has none.
func folderOf(pattern string) string {
	at := strings.IndexAny(pattern, "*?[{")
	if at < 0 {
		return pattern
	}
	if at = strings.LastIndexByte(pattern[:at], '/'); at <= 0 {
		return "."
	}
	return pattern[:at]
}
