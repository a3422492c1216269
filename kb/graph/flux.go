package graph

import (
	"cmp"
	"path"
	"strings"
)

const (
	fluxSource    = "source.toolkit.fluxcd.io"
	fluxKustomize = "kustomize.toolkit.fluxcd.io"
	fluxHelm      = "helm.toolkit.fluxcd.io"
)

// flux reads the resources of Flux.
func (r resource) flux(g, kind string) {
	for dep := range r.spec.get("dependsOn").items() {
		r.link(r.self, DependsOn, r.typed(dep, g, kind), dep.get("name").line())
	}
	if ns := r.spec.get("targetNamespace"); ns.text() != "" {
		r.link(r.self, DeploysTo, Node{Kind: "Namespace", Name: ns.text()}, ns.line())
	}
	switch {
	case g == fluxKustomize && kind == "Kustomization":
		r.fluxKustomization()
	case g == fluxHelm && kind == "HelmRelease":
		r.helmRelease()
	case g == fluxSource && r.spec.get("url").text() != "":
		url := r.spec.get("url")
		r.add(Link{From: r.self, Relation: SourcedFrom, To: repository(url.text()), Version: refVersion(r.spec.get("ref")), Line: url.line()})
	case g == fluxSource && kind == "HelmChart":
		r.sourceRef(r.spec.get("sourceRef"))
		r.chartOf(r.spec)
	case kind == "ArtifactGenerator":
		r.artifactGenerator()
	case g == "image.toolkit.fluxcd.io":
		if img := r.spec.get("image"); img.text() != "" {
			node, _ := image(img.text())
			r.link(r.self, Uses, node, img.line())
		}
		if ref := r.spec.get("imageRepositoryRef"); ref.there() {
			r.link(r.self, Uses, r.typed(ref, g, "ImageRepository"), ref.get("name").line())
		}
		r.sourceRef(r.spec.get("sourceRef"))
	}
}

// refVersion is what a source follows, the most exact first.
func refVersion(ref value) string {
	return cmp.Or(ref.get("digest").text(), ref.get("commit").text(), ref.get("name").text(), ref.get("semver").text(), ref.get("tag").text(), ref.get("branch").text())
}

func (r resource) sourceRef(ref value) Node {
	if !ref.there() {
		return Node{}
	}
	n := r.typed(ref, fluxSource, "GitRepository")
	if n.Group == groupAny {
		n.Group = fluxSource
	}
	r.link(r.self, SourcedFrom, n, ref.get("name").line())
	return n
}

func (r resource) fluxKustomization() {
	source := r.sourceRef(r.spec.get("sourceRef"))
	if p := r.spec.get("path"); p.text() != "" {
		// A Git repository is taken to be this one. What is in another source is at a path of that.
		root := Node{Kind: KindPath, Name: "."}
		if source.Kind != "GitRepository" {
			root.Namespace = source.String()
		}
		r.link(r.self, Deploys, below(root, p.text()), p.line())
	}
	r.patches(r.self, r.spec.get("patches"))
	for ref := range r.spec.get("postBuild", "substituteFrom").items() {
		r.link(r.self, Uses, r.typed(ref, "", ref.get("kind").text()), ref.get("name").line())
	}
	for img := range r.spec.get("images").items() {
		r.kustomizeImage(r.self, img)
	}
}

func (r resource) helmRelease() {
	if chart := r.spec.get("chart", "spec"); chart.there() {
		r.sourceRef(chart.get("sourceRef"))
		r.chartOf(chart)
	}
	if ref := r.spec.get("chartRef"); ref.there() {
		r.sourceRef(ref)
	}
	for ref := range r.spec.get("valuesFrom").items() {
		r.link(r.self, Uses, r.typed(ref, "", ref.get("kind").text()), ref.get("name").line())
	}
	r.images(r.self, r.spec.get("values"))
}

// chartOf reads a chart by name, or by the path of its folder where it comes from Git.
func (r resource) chartOf(spec value) {
	chart := spec.get("chart")
	if text := chart.text(); strings.HasPrefix(text, ".") || strings.Contains(text, "/") {
		r.link(r.self, Deploys, below(Node{Kind: KindPath, Name: "."}, text), chart.line())
	} else if text != "" {
		r.add(Link{From: r.self, Relation: Deploys, To: Node{Kind: KindChart, Name: text}, Version: spec.get("version").text(), Line: chart.line()})
	}
}

// artifactGenerator reads what source-watcher puts together. Each artifact is an ExternalArtifact, whose paths are those of the sources.
func (r resource) artifactGenerator() {
	sources := map[string]Node{}
	for s := range r.spec.get("sources").items() {
		n := r.typed(s, fluxSource, "GitRepository")
		if n.Group == groupAny {
			n.Group = fluxSource
		}
		r.link(r.self, SourcedFrom, n, s.get("name").line())
		sources["@"+cmp.Or(s.get("alias").text(), n.Name)] = n
	}
	for a := range r.spec.get("artifacts").items() {
		artifact := Node{fluxSource, "ExternalArtifact", r.self.Namespace, a.get("name").text()}
		r.entity(Entity{Node: artifact, First: a.line(), Last: max(a.line(), last(a.node, 0)+a.add)})
		r.link(artifact, ManagedBy, r.self, a.get("name").line())
		for c := range a.get("copy").items() {
			alias, from, _ := strings.Cut(c.get("from").text(), "/")
			root := Node{Kind: KindPath, Name: "."}
			if of := sources[alias]; of.Kind != "GitRepository" {
				root.Namespace = of.String()
			}
			source := below(root, folderOf(from))
			r.link(artifact, Includes, source, c.get("from").line())
			to, found := strings.CutPrefix(c.get("to").text(), "@artifact/")
			if found {
				r.link(Node{Kind: KindPath, Namespace: artifact.String(), Name: path.Clean(to)}, SameAs, source, c.get("to").line())
			}
		}
	}
}
