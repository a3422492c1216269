package spec

import (
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxText is the longest text that a template yields, or a single call within an expression, in bytes.
const maxText = 4 << 20

// boundedStrings gives replace and join a bound. Their cost is counted after they have run, and a single call on texts
// that an agent chose could fill the memory before that.
func boundedStrings() []cel.EnvOption {
	text, texts := cel.StringType, cel.ListType(cel.StringType)
	return []cel.EnvOption{
		cel.Function("replace",
			cel.MemberOverload("string_replace_string_string", []*cel.Type{text, text, text}, text,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val { return replace(args[0], args[1], args[2], types.Int(-1)) })),
			cel.MemberOverload("string_replace_string_string_int", []*cel.Type{text, text, text, cel.IntType}, text,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val { return replace(args[0], args[1], args[2], args[3]) }))),
		cel.Function("join",
			cel.MemberOverload("list_join", []*cel.Type{texts}, text,
				cel.UnaryBinding(func(list ref.Val) ref.Val { return join(list, types.String("")) })),
			cel.MemberOverload("list_join_string", []*cel.Type{texts, text}, text, cel.BinaryBinding(join))),
	}
}

func replace(in, old, by, times ref.Val) ref.Val {
	text, ok1 := in.(types.String)
	from, ok2 := old.(types.String)
	to, ok3 := by.(types.String)
	n, ok4 := times.(types.Int)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return types.NewErr("replace wants texts")
	}
	count := int64(strings.Count(string(text), string(from)))
	if n >= 0 {
		count = min(count, int64(n))
	}
	if growth := int64(len(to) - len(from)); growth > 0 && count > (maxText-int64(len(text)))/growth {
		return types.NewErr("replace makes more than %d bytes", maxText)
	}
	return types.String(strings.Replace(string(text), string(from), string(to), int(min(count, math.MaxInt32))))
}

func join(list, separator ref.Val) ref.Val {
	items, ok1 := list.(traits.Lister)
	between, ok2 := separator.(types.String)
	if !ok1 || !ok2 {
		return types.NewErr("join wants a list of texts")
	}
	var b strings.Builder
	for it, first := items.Iterator(), true; it.HasNext() == types.True; first = false {
		item, ok := it.Next().(types.String)
		if !ok {
			return types.NewErr("join wants a list of texts")
		}
		if !first {
			b.WriteString(string(between))
		}
		b.WriteString(string(item))
		if b.Len() > maxText {
			return types.NewErr("join makes more than %d bytes", maxText)
		}
	}
	return types.String(b.String())
}
