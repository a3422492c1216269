package spec

import (
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// comparison is a field of a condition's variable that is compared with a text, as in call.server == "cluster".
type comparison struct {
	field, text  string
	line, column int
}

// comparisons finds what a checked expression compares.
func comparisons(checked *cel.Ast) []comparison {
	var found []comparison
	tree := checked.NativeRep()
	add := func(field string, e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		if text, ok := e.AsLiteral().Value().(string); ok {
			at := tree.SourceInfo().GetStartLocation(e.ID())
			found = append(found, comparison{field, text, at.Line(), at.Column()})
		}
	}
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
			return
		}
		a, b := e.AsCall().Args()[0], e.AsCall().Args()[1]
		switch e.AsCall().FunctionName() {
		case "_==_", "_!=_":
			if field := fieldOf(a); field != "" {
				add(field, b)
			} else if field := fieldOf(b); field != "" {
				add(field, a)
			}
		case "@in":
			if field := fieldOf(a); field != "" && b.Kind() == ast.ListKind {
				for _, item := range b.AsList().Elements() {
					add(field, item)
				}
			}
		}
	}))
	return found
}

// fieldOf is the field of a variable that an expression is, such as call.server, or "".
func fieldOf(e ast.Expr) string {
	if e.Kind() != ast.SelectKind || e.AsSelect().Operand().Kind() != ast.IdentKind {
		return ""
	}
	return e.AsSelect().Operand().AsIdent() + "." + e.AsSelect().FieldName()
}

// unknownNames warns of rules that compare a call with a name that nothing has: such a rule holds never, or always, and
// looks as if it did its work.
func (l *loader) unknownNames() {
	tools := sync.OnceValue(l.declaredTools)
	for _, p := range l.out.Policies {
		for i, rule := range p.Rules {
			if rule.Condition == nil {
				continue
			}
			for _, c := range rule.Condition.compared {
				noun, hint := l.unknownName(c, tools)
				if noun == "" {
					continue
				}
				when := l.policies[p.Name].spec.at("rules", i, "when")
				l.add(Problem{Place: when.inText(c.line, c.column), Severity: SeverityWarning, Hint: hint,
					Summary: fmt.Sprintf("the rule %q compares %s with %q, and there is no such %s", rule.Name, c.field, c.text, noun)})
			}
		}
	}
}

// unknownName says what there is none of with the name in a comparison, and what to do; "" where there is one.
func (l *loader) unknownName(c comparison, tools func() map[string]bool) (noun, hint string) {
	const otherwise = "correct the name, or remove the comparison"
	switch c.field {
	case "call.server":
		if l.servers[c.text] == nil && !slices.Contains(ownServers, c.text) {
			return KindToolServer.word(), near.Hint(c.text, names(l.servers), otherwise)
		}
	case "call.agent", "change.agent", "run.agent":
		if l.agents[c.text] == nil {
			return KindAgent.word(), near.Hint(c.text, names(l.agents), otherwise)
		}
	case "call.effect":
		if known := []string{EffectRead, EffectWrite}; !slices.Contains(known, c.text) {
			return "effect", near.Hint(c.text, known, otherwise)
		}
	case "call.tool":
		if tools()[c.text] {
			return "", ""
		}
		// Mainstay's own tools are not declared: only what is close to a declared one is told.
		if hint := near.Hint(c.text, names(tools()), ""); hint != "" {
			return "tool", hint
		}
	}
	return "", ""
}

// declaredTools are the names of the tools of all servers.
func (l *loader) declaredTools() map[string]bool {
	tools := map[string]bool{}
	for _, s := range l.servers {
		for name := range s.written.Tools {
			tools[name] = true
		}
	}
	return tools
}
