package graph

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kustomization reads a kustomization.yaml. It has no name: the file stands for it.
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
func (c *collector) kustomization(v value) {
	self := c.file()
	for _, field := range []string{"resources", "bases", "components", "crds", "configurations", "transformers", "generators", "validators", "patchesStrategicMerge"} {
		for item := range v.get(field).items() {
			c.kustomizePath(self, item)
		}
	}
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		kind := map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}[field]
		for g := range v.get(field).items() {
			name := g.get("name")
			made := Node{"", kind, cmp.Or(g.get("namespace").text(), v.get("namespace").text()), name.text()}
			c.entity(Entity{Node: made, First: g.line(), Last: max(g.line(), last(g.node, 0)+g.add)})
			for _, from := range []value{g.get("files"), g.get("envs")} {
				for f := range from.items() {
					file := f.text()
					if _, after, found := strings.Cut(file, "="); found {
						file = after
					}
					c.link(made, Includes, c.beside(file), f.line())
				}
			}
			if f := g.get("env"); f.text() != "" {
				c.link(made, Includes, c.beside(f.text()), f.line())
			}
		}
	}
	if ns := v.get("namespace"); ns.text() != "" {
		c.link(self, DeploysTo, Node{Kind: "Namespace", Name: ns.text()}, ns.line())
	}
	for img := range v.get("images").items() {
		c.kustomizeImage(self, img)
	}
	for _, field := range []string{"helmCharts", "helmChartInflationGenerator"} {
		for chart := range v.get(field).items() {
			name := chart.get("name")
			c.add(Link{From: self, Relation: Deploys, To: Node{Kind: KindChart, Name: name.text()}, Version: chart.get("version").text(), Line: name.line()})
			if repo := chart.get("repo"); repo.text() != "" {
				c.link(self, SourcedFrom, repository(repo.text()), repo.line())
			}
			if f := chart.get("valuesFile"); f.text() != "" {
				c.link(self, Includes, c.beside(f.text()), f.line())
			}
		}
	}
	c.ownership(self, v.get("commonLabels"))
	for l := range v.get("labels").items() {
		c.ownership(self, l.get("pairs"))
	}
	c.patches(self, v.get("patches"))
	c.patches(self, v.get("patchesJson6902"))
}

// kustomizePath adds what a kustomization is made of: a file or folder beside it, or a URL.
func (c *collector) kustomizePath(self Node, v value) {
	text := v.text()
	switch {
	case strings.ContainsAny(text, "\n\r"): // A patch that is written in place.
		c.inline(self, v)
	case strings.Contains(text, "://"), strings.HasPrefix(text, "git@"), strings.HasPrefix(text, "github.com/"):
		url, query, _ := strings.Cut(text, "?")
		repo, _, found := strings.Cut(strings.Replace(url, "://", "\x00", 1), "//") // What follows is a path in the repository.
		if found {
			url = strings.Replace(repo, "\x00", "://", 1)
		}
		version := ""
		for part := range strings.SplitSeq(query, "&") {
			if ref, found := strings.CutPrefix(part, "ref="); found {
				version = ref
			}
		}
		c.add(Link{From: self, Relation: Includes, To: repository(url), Version: version, Line: v.line()})
	default:
		c.link(self, Includes, c.beside(text), v.line())
	}
}

// kustomizeImage reads an image that is put in place of another.
func (c *collector) kustomizeImage(self Node, v value) {
	at := v.get("name")
	name := at.text()
	if n := v.get("newName"); n.text() != "" {
		name, at = n.text(), n
	}
	if tag := v.get("newTag").text(); tag != "" {
		name += ":" + tag
	}
	if digest := v.get("digest").text(); digest != "" {
		name += "@" + digest
	}
	node, version := image(name)
	c.add(Link{From: self, Relation: Runs, To: node, Version: version, Line: at.line()})
}

// patches reads patches in files and in place, and the targets that are named. Targets by expression or label are not followed.
func (c *collector) patches(self Node, list value) {
	for p := range list.items() {
		if file := p.get("path"); file.text() != "" && self.Kind == KindPath {
			c.kustomizePath(self, file)
		}
		target := p.get("target")
		if name := target.get("name"); name.text() != "" && target.get("kind").text() != "" {
			n := Node{groupAny, target.get("kind").text(), target.get("namespace").text(), name.text()}
			if g := target.get("group"); g.there() {
				n.Group = g.text()
			}
			if !strings.ContainsAny(n.Name, `()[]{}|*+?^$\`) {
				c.link(self, Patches, n, name.line())
			}
		} else if !target.there() {
			c.inline(self, p.get("patch"))
		}
	}
}

// inline reads which resource a patch that is written in place is for.
func (c *collector) inline(self Node, v value) {
	if len(v.text()) > MaxFile/8 {
		return
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(v.text()), &root); err != nil || len(root.Content) != 1 {
		return
	}
	patch := value{c, root.Content[0], v.line()}
	meta := patch.get("metadata")
	n := Node{group(patch.get("apiVersion").text()), patch.get("kind").text(), meta.get("namespace").text(), meta.get("name").text()}
	c.link(self, Patches, n, v.line())
}
