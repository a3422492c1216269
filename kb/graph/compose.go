package graph

import "strings"

// compose reads a Compose file. https://github.com/compose-spec/compose-spec
func (c *collector) compose(d document) {
	of := func(kind, name string) Node { return Node{GroupCompose, kind, c.Path, name} }
	for key, s := range d.get("services").pairs() {
		self := of("Service", key.text())
		end := key.line()
		if s.there() {
			end = max(end, last(s.node, 0)+s.add)
		}
		c.entity(Entity{Node: self, First: key.line(), Last: end})
		if img := s.get("image"); img.text() != "" {
			c.runs(self, Runs, img)
		}
		for _, build := range []value{s.get("build"), s.get("build", "context")} {
			if build.text() != "" && !strings.Contains(build.text(), "://") {
				c.link(self, SourcedFrom, c.beside(build.text()), build.line())
			}
		}
		for _, field := range []string{"depends_on", "links"} {
			for v := range s.get(field).items() {
				name, _, _ := strings.Cut(v.text(), ":")
				c.link(self, DependsOn, of("Service", name), v.line())
			}
			for k := range s.get(field).pairs() {
				c.link(self, DependsOn, of("Service", k.text()), k.line())
			}
		}
		c.composeEnvironment(self, s)
		for v := range s.get("volumes").items() {
			source := v.get("source")
			text := source.text()
			if v.text() != "" {
				source = v
				text, _, _ = strings.Cut(v.text(), ":")
				if !strings.Contains(v.text(), ":") {
					continue // It has no name.
				}
			}
			if strings.HasPrefix(text, ".") {
				c.link(self, Uses, c.beside(text), source.line())
			} else if !strings.ContainsAny(text, "/~$") {
				c.link(self, Uses, of("Volume", text), source.line())
			}
		}
		for _, kind := range []string{"Config", "Secret"} {
			for v := range s.get(strings.ToLower(kind) + "s").items() {
				if name := v.get("source"); name.there() {
					v = name
				}
				c.link(self, Uses, of(kind, v.text()), v.line())
			}
		}
	}
	for _, kind := range []string{"Volume", "Config", "Secret"} {
		for key, v := range d.get(strings.ToLower(kind) + "s").pairs() {
			self, end := of(kind, key.text()), key.line()
			if v.there() {
				end = max(end, last(v.node, 0)+v.add)
			}
			c.entity(Entity{Node: self, First: key.line(), Last: end})
			if f := v.get("file"); f.text() != "" {
				c.link(self, Includes, c.beside(f.text()), f.line())
			}
		}
	}
}

// composeEnvironment finds the services that a service's environment names.
func (c *collector) composeEnvironment(self Node, s value) {
	add := func(name, text string, line int) {
		for _, host := range hostsIn(name, text) {
			c.add(Link{From: self, Relation: DependsOn, To: Node{GroupCompose, "Service", c.Path, host}, Line: line, IfDeclared: true})
		}
	}
	for v := range s.get("environment").items() {
		name, text, _ := strings.Cut(v.text(), "=")
		add(name, text, v.line())
	}
	for k, v := range s.get("environment").pairs() {
		add(k.text(), v.text(), v.line())
	}
	for f := range s.get("env_file").texts() {
		if p := f.get("path"); p.there() {
			f = p
		}
		c.link(self, Includes, c.beside(f.text()), f.line())
	}
}
