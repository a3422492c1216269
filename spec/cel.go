package spec

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/parser"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// The bounds of one CEL expression. They stop an expression, not a fleet: whoever evaluates it gets an error.
const (
	// maxExpression is the longest expression, in bytes.
	maxExpression = 16 << 10
	// maxExpressionNodes bounds an expression after its macros are expanded.
	maxExpressionNodes = 10_000
	// maxExpressionCost bounds one evaluation, in CEL's own unit: a step, an item, or ten characters. It bounds the
	// memory too, since what an evaluation makes it pays for.
	maxExpressionCost = 1_000_000
)

// language is one set of variables that expressions are written over. Its environment is made when it is first needed,
// so that commands which read no expression do not pay for it.
type language struct {
	name string
	env  func() (*cel.Env, error)
	// fields are those of the one variable, where they are known.
	fields map[string]*cel.Type
}

func newLanguage(name string, options func() []cel.EnvOption) *language {
	return &language{name: name, env: sync.OnceValues(func() (*cel.Env, error) {
		base := []cel.EnvOption{
			cel.StdLib(),
			ext.Strings(),
			cel.CrossTypeNumericComparisons(true),
			cel.DefaultUTCTimeZone(true),
			cel.ParserExpressionSizeLimit(maxExpression),
			cel.ExpressionNodeLimit(maxExpressionNodes),
			cel.RegexProgramSizeLimit(10_000),
			cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		}
		env, err := cel.NewCustomEnv(slices.Concat(base, boundedStrings(), options())...)
		if err != nil {
			return nil, fmt.Errorf("prepare CEL over %s: %w", name, err)
		}
		return env, nil
	})}
}

var (
	callLanguage    = newRecordLanguage("call", callFields)
	changeLanguage  = newRecordLanguage("change", changeFields)
	runLanguage     = newRecordLanguage("run", map[string]*cel.Type{"agent": cel.StringType, "task": cel.StringType, "trigger": cel.StringType})
	requestLanguage = newRecordLanguage("request", map[string]*cel.Type{"agent": cel.StringType, "images": cel.IntType, "labels": cel.MapType(cel.StringType, cel.StringType), "task": cel.StringType, "tokens": cel.IntType, "turn": cel.IntType})
	endedLanguage   = newRecordLanguage("run", map[string]*cel.Type{"output": cel.StringType, "calls": cel.ListType(cel.StringType), "turns": cel.IntType, "tokens": cel.IntType, "phase": cel.StringType})
	resultLanguage  = newLanguage("result", func() []cel.EnvOption { return []cel.EnvOption{cel.Variable("result", cel.DynType)} })
	outputLanguage  = newLanguage("output", func() []cel.EnvOption { return []cel.EnvOption{cel.Variable("output", cel.DynType)} })
	eventLanguage   = newLanguage("event", func() []cel.EnvOption { return []cel.EnvOption{cel.Variable("event", cel.DynType)} })
	stepsLanguage   = newLanguage("steps and parameters", func() []cel.EnvOption {
		return []cel.EnvOption{cel.Variable("steps", cel.MapType(cel.StringType, cel.DynType)), cel.Variable("parameters", cel.MapType(cel.StringType, cel.DynType))}
	})
	argumentsLanguage = newLanguage("arguments", func() []cel.EnvOption {
		return []cel.EnvOption{cel.Variable("arguments", cel.MapType(cel.StringType, cel.DynType))}
	})
	undoLanguage = newLanguage("arguments and result", func() []cel.EnvOption {
		return []cel.EnvOption{cel.Variable("arguments", cel.MapType(cel.StringType, cel.DynType)), cel.Variable("result", cel.DynType)}
	})
	scriptLanguage = newLanguage("the conversation", func() []cel.EnvOption {
		message := cel.MapType(cel.StringType, cel.DynType)
		return []cel.EnvOption{
			cel.Variable("instructions", cel.StringType),
			cel.Variable("task", cel.StringType),
			cel.Variable("messages", cel.ListType(message)),
			cel.Variable("last", message),
			cel.Variable("turn", cel.IntType),
			cel.Variable("results", cel.MapType(cel.StringType, cel.ListType(cel.DynType))),
			cel.Macros(parser.NewGlobalMacro("called", 1, expandCalled)),
		}
	})
)

// expandCalled rewrites called(name) to name in results.
func expandCalled(h parser.ExprHelper, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	return h.NewCall(operators.In, args[0], h.NewIdent("results")), nil
}

var (
	callFields = map[string]*cel.Type{
		"agent": cel.StringType, "server": cel.StringType, "tool": cel.StringType, "effect": cel.StringType,
		"arguments": cel.MapType(cel.StringType, cel.DynType), "sources": cel.ListType(cel.StringType),
	}
	changeFields = map[string]*cel.Type{"agent": cel.StringType, "paths": cel.ListType(cel.StringType)}
)

// newRecordLanguage is over a variable with known fields, so that a misspelt one is a problem when the expression is
// loaded, and not a denial when it is evaluated.
func newRecordLanguage(name string, fields map[string]*cel.Type) *language {
	typeName := "mainstay." + name
	l := newLanguage(name, func() []cel.EnvOption {
		return []cel.EnvOption{
			cel.CustomTypeProvider(fieldProvider{types.NewEmptyRegistry(), typeName, fields}),
			cel.Variable(name, cel.ObjectType(typeName)),
		}
	})
	l.fields = fields
	return l
}

// fieldProvider adds one type with known fields to a registry. Values of the type are maps.
type fieldProvider struct {
	*types.Registry
	name   string
	fields map[string]*cel.Type
}

func (p fieldProvider) FindStructType(name string) (*types.Type, bool) {
	if name == p.name {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

func (p fieldProvider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name != p.name {
		return p.Registry.FindStructFieldType(name, field)
	}
	t, ok := p.fields[field]
	return &types.FieldType{Type: t}, ok
}

// expressionError is what is wrong in an expression, and where: Line from 1 and Column from 0 within its text, as CEL
// counts; Line 0 means the whole of it.
type expressionError struct {
	Line, Column  int
	Message, Hint string
}

func (e *expressionError) Error() string { return e.Message }

// compile checks an expression and plans it. want is the type its value must have; nil takes any.
func (l *language) compile(expression string, want *cel.Type) (cel.Program, error) {
	env, checked, err := l.checked(expression, want)
	if err != nil {
		return nil, err
	}
	return newProgram(env, checked)
}

func newProgram(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	// CEL can bound the memory too, but that costs ten times the time of the evaluation itself, and takes any value that is
	// nested deeper than five levels for too large, as results of tools are. See boundedStrings.
	program, err := env.Program(checked, cel.CostLimit(maxExpressionCost))
	if err != nil {
		return nil, &expressionError{Message: oneLine(err.Error())}
	}
	return program, nil
}

// checked parses an expression and checks its types.
func (l *language) checked(expression string, want *cel.Type) (*cel.Env, *cel.Ast, error) {
	if len(expression) > maxExpression {
		return nil, nil, &expressionError{Message: fmt.Sprintf("the expression is longer than %d bytes", maxExpression)}
	}
	env, err := l.env()
	if err != nil {
		return nil, nil, err
	}
	checked, issues := env.Compile(expression)
	if issues != nil && len(issues.Errors()) > 0 {
		first := issues.Errors()[0]
		e := &expressionError{Line: first.Location.Line(), Column: first.Location.Column(), Message: plainMessage(first.Message)}
		if m := noField.FindStringSubmatch(first.Message); m != nil && l.fields != nil {
			known := slices.Sorted(maps.Keys(l.fields))
			e.Hint = near.Hint(m[1], known, "known are "+strings.Join(known, ", "))
		}
		return nil, nil, e
	}
	if issues.Err() != nil {
		return nil, nil, &expressionError{Message: oneLine(issues.Err().Error())}
	}
	if want != nil && !checked.OutputType().IsExactType(want) && !checked.OutputType().IsExactType(cel.DynType) {
		return nil, nil, &expressionError{Message: fmt.Sprintf("the expression is of type %s, not %s", cel.FormatCELType(checked.OutputType()), cel.FormatCELType(want))}
	}
	return env, checked, nil
}

var (
	noOverload = regexp.MustCompile(`found no matching overload for '([^']*)' applied to '(.*)'`)
	noField    = regexp.MustCompile(`undefined field '([^']*)'`)
)

// plainMessage says what CEL says, in the words of those who write expressions and not of those who parse them.
func plainMessage(message string) string {
	message = oneLine(strings.TrimPrefix(message, "Syntax error: "))
	if before, _, ok := strings.Cut(message, " expecting "); ok {
		message = strings.NewReplacer("mismatched input '<EOF>'", "the expression ends too early", "mismatched input", "unexpected",
			"extraneous input", "unexpected").Replace(before)
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		name := m[1]
		if symbol, ok := operators.FindReverse(name); ok && symbol != "" {
			name = symbol
		}
		switch name {
		case operators.Index:
			name = "[ ]"
		case operators.Conditional:
			name = "? :"
		}
		return fmt.Sprintf("%s cannot be used on %s", name, m[2])
	}
	if m := noField.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("unknown field %q", m[1])
	}
	return message
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// evaluate runs a program over JSON-like values.
func evaluate(program cel.Program, vars map[string]any) (ref.Val, error) {
	plain := make(map[string]any, len(vars))
	for name, value := range vars {
		v, err := plainValue(value)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		plain[name] = v
	}
	value, _, err := program.Eval(plain)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	return value, nil
}

// Condition is a compiled CEL expression of type bool. It is safe for concurrent use.
type Condition struct {
	text    string
	program cel.Program
	// compared are the fields that it compares with texts.
	compared []comparison
	// partial returns the same for a call of which not all is known, or nil. It is not made before it is needed.
	partial func() cel.Program
}

// NewCondition compiles the condition of a policy rule: on is [OnCall], [OnChange] or [OnRun]. An empty condition always holds.
func NewCondition(on, when string) (*Condition, error) {
	switch on {
	case OnCall:
		return callLanguage.condition(when)
	case OnChange:
		return changeLanguage.condition(when)
	case OnRun:
		return runLanguage.condition(when)
	}
	return nil, fmt.Errorf("a policy rule is on %s, %s or %s, not on %q", OnCall, OnChange, OnRun, on)
}

// NewPrecondition compiles the check of a [Precondition], an expression over `result`.
func NewPrecondition(check string) (*Condition, error) { return resultLanguage.condition(check) }

func (l *language) condition(text string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return &Condition{}, nil
	}
	env, checked, err := l.checked(text, cel.BoolType)
	if err != nil {
		return nil, err
	}
	program, err := newProgram(env, checked)
	if err != nil {
		return nil, err
	}
	return &Condition{text: text, program: program, compared: comparisons(checked), partial: sync.OnceValue(func() cel.Program {
		env, checked, err := l.checked(text, cel.BoolType)
		if err != nil {
			return nil
		}
		partial, err := env.Program(checked, cel.CostLimit(maxExpressionCost), cel.EvalOptions(cel.OptPartialEval))
		if err != nil {
			return nil
		}
		return partial
	})}, nil
}

// String returns the expression as it was written.
func (c *Condition) String() string {
	if c == nil {
		return ""
	}
	return c.text
}

// Holds evaluates the condition. vars are values as encoding/json decodes them, or Go values that it can encode; numbers
// without a fraction are ints in CEL. A nil condition always holds. An error says why there is no answer: a missing
// field, a value that is not a bool, or too much work; whoever guards something takes it as a no.
func (c *Condition) Holds(vars map[string]any) (bool, error) {
	if c == nil || c.program == nil {
		return true, nil
	}
	value, err := evaluate(c.program, vars)
	if err != nil {
		return false, fmt.Errorf("evaluate %q: %w", shorten(c.text, 120), err)
	}
	holds, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("evaluate %q: the value is of type %s, not bool", shorten(c.text, 120), value.Type().TypeName())
	}
	return holds, nil
}

// shorten cuts text to n characters, for messages.
func shorten(text string, n int) string {
	runes := []rune(oneLine(text))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-1]) + "…"
}
