package graph

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// readTerraform reads the blocks of a Terraform or OpenTofu file, and what each refers to. Names are those of the folder, which is a
// module. https://developer.hashicorp.com/terraform/language/expressions/references
func readTerraform(c *collector, data []byte) {
	file, diagnostics := hclsyntax.ParseConfig(data, path.Base(c.Path), hcl.InitialPos)
	for _, d := range diagnostics {
		if d.Severity == hcl.DiagError {
			line := 1
			if d.Subject != nil {
				line = d.Subject.Start.Line
			}
			c.problem(line, "this is no Terraform: %s", d.Summary)
		}
	}
	if file == nil {
		return
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	t := terraform{c, path.Dir(c.Path)}
	for _, b := range body.Blocks {
		t.block(b)
	}
}

type terraform struct {
	*collector
	module string
}

func (t terraform) node(kind, name string) Node {
	return Node{GroupTerraform, kind, t.module, name}
}

func (t terraform) block(b *hclsyntax.Block) {
	declare := func(kind, name string) Node {
		n := t.node(kind, name)
		t.entity(Entity{Node: n, First: b.TypeRange.Start.Line, Last: b.CloseBraceRange.Start.Line})
		return n
	}
	switch label := strings.Join(b.Labels, "."); {
	case b.Type == "resource" && len(b.Labels) == 2:
		t.refers(declare("Resource", label), b.Body)
	case b.Type == "data" && len(b.Labels) == 2:
		t.refers(declare("Data", label), b.Body)
	case b.Type == "module" && len(b.Labels) == 1:
		n := declare("Module", label)
		t.source(n, b.Body)
		t.refers(n, b.Body)
	case b.Type == "variable" && len(b.Labels) == 1:
		declare("Variable", label)
	case b.Type == "output" && len(b.Labels) == 1:
		t.refers(declare("Output", label), b.Body)
	case b.Type == "locals":
		for _, a := range b.Body.Attributes {
			n := t.node("Local", a.Name)
			t.entity(Entity{Node: n, First: a.SrcRange.Start.Line, Last: a.SrcRange.End.Line})
			t.expression(n, a.Expr)
		}
	}
}

// source reads where a module comes from: a folder beside this one, a repository, or a registry.
func (t terraform) source(n Node, b *hclsyntax.Body) {
	text := func(name string) (string, int) {
		a := b.Attributes[name]
		if a == nil {
			return "", 0
		}
		v, diagnostics := a.Expr.Value(nil)
		if diagnostics.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type().FriendlyName() != "string" {
			return "", 0
		}
		return v.AsString(), a.SrcRange.Start.Line
	}
	source, line := text("source")
	version, _ := text("version")
	switch {
	case source == "":
	case strings.HasPrefix(source, "./"), strings.HasPrefix(source, "../"):
		t.link(n, SourcedFrom, within(t.module, source), line)
	default:
		url, query, _ := strings.Cut(strings.TrimPrefix(source, "git::"), "?")
		if ref, found := strings.CutPrefix(query, "ref="); found {
			version = ref
		}
		scheme, rest, found := strings.Cut(url, "://")
		if !found {
			scheme, rest = "", url
		}
		rest, _, _ = strings.Cut(rest, "//") // What follows is a folder in it.
		if scheme == "" && strings.Count(rest, "/") == 2 && !strings.Contains(rest, ".") && !strings.Contains(rest, "@") {
			rest = "registry.terraform.io/" + rest
		}
		t.add(Link{From: n, Relation: SourcedFrom, To: repository(rest), Version: version, Line: line})
	}
}

// refers adds what the expressions of a body refer to, however deep.
func (t terraform) refers(n Node, b *hclsyntax.Body) {
	for _, a := range b.Attributes {
		t.expression(n, a.Expr)
	}
	for _, inner := range b.Blocks {
		t.refers(n, inner.Body)
	}
}

func (t terraform) expression(n Node, e hclsyntax.Expression) {
	for _, traversal := range e.Variables() {
		if to := t.reference(traversal); to.Name != "" && to != n {
			// What looks like a resource may be a name that a block gives, such as the iterator of a dynamic one, or a provider.
			t.add(Link{From: n, Relation: DependsOn, To: to, Line: traversal.SourceRange().Start.Line, IfDeclared: to.Kind == "Resource"})
		}
	}
}

// reference is the block that a traversal begins with.
func (t terraform) reference(traversal hcl.Traversal) Node {
	var parts []string
	for _, step := range traversal {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			parts = append(parts, s.Name)
		case hcl.TraverseAttr:
			parts = append(parts, s.Name)
		default:
			continue
		}
		if len(parts) == 4 {
			break
		}
	}
	if len(parts) > 1 && parts[0] == "resource" {
		parts = parts[1:]
	}
	switch {
	case len(parts) < 2:
		return Node{}
	case parts[0] == "var":
		return t.node("Variable", parts[1])
	case parts[0] == "local":
		return t.node("Local", parts[1])
	case parts[0] == "module":
		return t.node("Module", parts[1])
	case parts[0] == "data" && len(parts) > 2:
		return t.node("Data", parts[1]+"."+parts[2])
	case parts[0] == "each", parts[0] == "count", parts[0] == "self", parts[0] == "path", parts[0] == "terraform", parts[0] == "data":
		return Node{}
	}
	return t.node("Resource", parts[0]+"."+parts[1])
}
