package graph

import (
	"cmp"
	"strings"
)

// entityRef reads a reference as Backstage defines it, [<kind>:][<namespace>/]<name>, where kind and namespace have defaults. Case does
// not count in it. https://backstage.io/docs/features/software-catalog/references
func entityRef(text, kind, namespace string) Node {
	text = strings.ToLower(strings.TrimSpace(text))
	if k, rest, found := strings.Cut(text, ":"); found {
		kind, text = k, rest
	}
	if ns, rest, found := strings.Cut(text, "/"); found {
		namespace, text = ns, rest
	}
	if kind == "" || namespace == "" {
		return Node{}
	}
	return Node{Group: GroupBackstage, Kind: kind, Namespace: namespace, Name: text}
}

// backstageRefs are the fields of specs that refer to other entities, with the kind that is meant where none is written. Kinds are
// those the field is of; no kinds means any.
var backstageRefs = []struct {
	field, kind string
	relation    Relation
	reverse     bool // The other entity has the relation to this one.
	of          string
}{
	{"owner", "group", OwnedBy, false, ""},
	{"system", "system", PartOf, false, ""},
	{"domain", "domain", PartOf, false, "system"},
	{"subdomainOf", "domain", PartOf, false, "domain"},
	{"subcomponentOf", "component", PartOf, false, "component"},
	{"providesApis", "api", Provides, false, "component"},
	{"consumesApis", "api", Consumes, false, "component"},
	{"dependsOn", "", DependsOn, false, ""},
	{"dependencyOf", "", DependsOn, true, ""},
	{"memberOf", "group", MemberOf, false, "user"},
	{"members", "user", MemberOf, true, "group"},
	{"parent", "group", ChildOf, false, "group"},
	{"children", "group", ChildOf, true, "group"},
}

// backstage reads an entity of Backstage's catalog.
// https://backstage.io/docs/features/software-catalog/descriptor-format
func (c *collector) backstage(d document) {
	meta := d.get("metadata")
	namespace := strings.ToLower(cmp.Or(meta.get("namespace").text(), "default"))
	self := Node{GroupBackstage, strings.ToLower(d.get("kind").text()), namespace, strings.ToLower(meta.get("name").text())}
	if !self.plain() {
		return
	}
	c.entity(Entity{Node: self, First: d.first, Last: d.last})
	spec := d.get("spec")
	for _, r := range backstageRefs {
		if r.of != "" && r.of != self.Kind {
			continue
		}
		for v := range spec.get(r.field).texts() {
			other := entityRef(v.text(), r.kind, namespace)
			if r.reverse {
				c.link(other, r.relation, self, v.line())
			} else {
				c.link(self, r.relation, other, v.line())
			}
		}
	}
	for key, v := range meta.get("annotations").pairs() {
		switch key.text() {
		case "backstage.io/source-location":
			c.link(self, SourcedFrom, repository(strings.TrimPrefix(v.text(), "url:")), v.line())
		case "github.com/project-slug":
			c.link(self, SourcedFrom, repository("github.com/"+v.text()), v.line())
		case "gitlab.com/project-slug":
			c.link(self, SourcedFrom, repository("gitlab.com/"+v.text()), v.line())
		case "github.com/team-slug", "github.com/user-login":
			c.link(self, SameAs, Node{Kind: KindCodeOwner, Name: "@" + strings.TrimPrefix(v.text(), "@")}, v.line())
		}
	}
	switch self.Kind {
	case "location":
		for _, field := range []string{"target", "targets"} {
			for v := range spec.get(field).texts() {
				c.link(self, Includes, c.target(v.text()), v.line())
			}
		}
	case "template":
		for step := range spec.get("steps").items() {
			if url := step.get("input", "url"); strings.HasPrefix(step.get("action").text(), "fetch:") {
				c.link(self, Uses, c.target(url.text()), url.line())
			}
		}
	}
}

// target is what a Location or a Template refers to: a path beside the file, or a URL in a repository.
func (c *collector) target(text string) Node {
	if strings.Contains(text, "://") {
		return repository(text)
	}
	return c.beside(text)
}

// repository is the node of a repository, by a URL of it or of something in it. Credentials are not taken over.
func repository(url string) Node {
	url = strings.TrimSpace(url)
	if _, rest, found := strings.Cut(url, "://"); found {
		url = rest
	} else if user, rest, found := strings.Cut(url, "@"); found && !strings.Contains(user, "/") {
		url = strings.Replace(rest, ":", "/", 1) // git@host:owner/name
	}
	url, _, _ = strings.Cut(url, "?")
	url, _, _ = strings.Cut(url, "#")
	host, rest, _ := strings.Cut(url, "/")
	host = strings.ToLower(host[strings.LastIndexByte(host, '@')+1:])
	for _, mark := range []string{"/-/tree/", "/-/blob/", "/tree/", "/blob/", "/raw/"} {
		rest, _, _ = strings.Cut(rest, mark)
	}
	rest = strings.TrimSuffix(strings.Trim(rest, "/"), ".git")
	if host == "" {
		return Node{}
	}
	if rest != "" {
		host += "/" + rest
	}
	return Node{Kind: KindRepository, Name: host}
}
