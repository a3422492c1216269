package graph

import "strings"

// chart reads a Chart.yaml. https://helm.sh/docs/topics/charts/#the-chartyaml-file
func (c *collector) chart(d document) {
	self := Node{Kind: KindChart, Name: d.get("name").text()}
	c.entity(Entity{Node: self, First: d.first, Last: d.last})
	c.dependencies(self, d.get("dependencies"))
	for s := range d.get("sources").items() {
		if strings.Contains(s.text(), "://") {
			c.link(self, SourcedFrom, repository(s.text()), s.line())
		}
	}
	c.add(Link{From: self, Relation: Includes, To: c.beside("values.yaml"), Line: d.first, IfDeclared: true})
}

func (c *collector) dependencies(self Node, list value) {
	for dep := range list.items() {
		name, repo := dep.get("name"), dep.get("repository")
		c.add(Link{From: self, Relation: DependsOn, To: Node{Kind: KindChart, Name: name.text()}, Version: dep.get("version").text(), Line: name.line()})
		switch file, local := strings.CutPrefix(repo.text(), "file://"); {
		case local:
			c.link(self, Includes, c.beside(file), repo.line())
		case strings.Contains(repo.text(), "://"):
			c.link(self, SourcedFrom, repository(repo.text()), repo.line())
		}
	}
}
