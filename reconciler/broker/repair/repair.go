// Package repair reads a model's answer as what it is, a text of unknown origin. What can only be meant in one way is mended: a tool
// call that small models write into their text, a tool's name in another spelling, a number in quotes. Of everything else it says what
// is wrong, for the model that is asked again and for people.
//
// It never makes a call of a quotation, nor one of a tool that the model was not offered, and it decides about no call: that is
// policy's part, whichever way the model asked.
package repair

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

// Answer mends the answer to a request. Repaired of the result says what was mended. The problem is what cannot be, or "": a part of a
// sentence after "the model's answer is of no use:".
func Answer(a model.Answer, r model.Request) (mended model.Answer, problem string) {
	a.Calls, a.Repaired = slices.Clone(a.Calls), slices.Clone(a.Repaired)
	if !utf8.ValidString(a.Text) {
		a.Text = strings.ToValidUTF8(a.Text, "\uFFFD")
		a.Repaired = append(a.Repaired, "its text was not valid UTF-8")
	}
	if len(a.Calls) == 0 && a.Finish != plugins.FinishLength {
		found := Find(a.Text, r)
		if found.Fault != "" {
			return a, found.Fault
		}
		if len(found.Calls) > 0 {
			a.Text, a.Calls, a.Finish = a.Text[:found.Start], found.Calls, plugins.FinishCalls
			a.Repaired = append(a.Repaired, "a tool call was in its text, as "+found.Shape)
		}
	}
	for i := range a.Calls {
		repaired, problem := call(&a.Calls[i], r.Tools)
		if problem != "" {
			return a, problem
		}
		a.Repaired = append(a.Repaired, repaired...)
	}
	if len(a.Calls) == 0 && strings.TrimSpace(a.Text[thought(a.Text):]) == "" {
		if a.Finish == plugins.FinishLength {
			return a, "it came to its limit of tokens before it had said anything"
		}
		return a, "it is empty"
	}
	return a, ""
}

// call mends a tool call.
func call(use *plugins.ToolUse, tools []model.Tool) (repaired []string, problem string) {
	tool, ok := offered(use.Name, tools)
	switch {
	case len(tools) == 0:
		return nil, fmt.Sprintf("it calls the tool %s, and no tool can be called", quoted(use.Name))
	case !ok:
		return nil, fmt.Sprintf("it calls the tool %s, which does not exist; there are %s", quoted(use.Name), names(tools))
	case tool.Name != use.Name:
		repaired = append(repaired, fmt.Sprintf("it called the tool %s by the name %s", tool.Name, quoted(use.Name)))
		use.Name = tool.Name
	}
	arguments, what, problem := arguments(use.Arguments, tool.InputSchema)
	if problem != "" {
		return nil, fmt.Sprintf("the arguments of its call of %s %s", use.Name, problem)
	}
	if what != "" {
		repaired = append(repaired, fmt.Sprintf("the arguments of its call of %s %s", use.Name, what))
	}
	use.Arguments = arguments
	return repaired, ""
}

// offered returns the tool that a name means: the one of that name, or else the only one whose name differs in case, in the prefix that
// some models add, or in what stands between its words.
func offered(name string, tools []model.Tool) (model.Tool, bool) {
	var like []model.Tool
	for _, t := range tools {
		if t.Name == name {
			return t, true
		}
		if plain(t.Name) == plain(name) {
			like = append(like, t)
		}
	}
	if len(like) != 1 {
		return model.Tool{}, false
	}
	return like[0], true
}

// plain is a name without what models write in different ways.
func plain(name string) string {
	name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "functions.")
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("_-./: ", r) })
	return strings.Join(words, "_")
}

// maxNames bounds a list of names, in bytes.
const maxNames = 2000

func names(tools []model.Tool) string {
	var list strings.Builder
	for i, t := range tools {
		if list.Len()+len(t.Name) > maxNames {
			fmt.Fprintf(&list, " and %d more", len(tools)-i)
			break
		}
		if i > 0 {
			list.WriteString(", ")
		}
		list.WriteString(t.Name)
	}
	return list.String()
}

// maxQuoted bounds what is quoted of a model, in bytes.
const maxQuoted = 100

func quoted(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}
