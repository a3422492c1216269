package spec

import (
	"fmt"
)

// Conversation is what the rules of a scripted model are about. In their expressions it is:
//
//	task         the text of the first user message
//	instructions what the agent's model is given before the conversation
//	messages     a list of maps with role, text, tool and call; all strings, empty where they do not apply
//	last         the last message, or an empty one
//	turn         how many answers the model has given so far
//	results      for each tool that has answered, a list of its results in order: structured JSON, or else text
//	called(t)    whether the tool has answered; the same as `t in results`
type Conversation struct {
	// Instructions are what the model is given before the conversation: [Agent.Instructions]. One model serves many agents,
	// and this is how its rules tell them apart.
	Instructions string
	Messages     []Message
}

// Message is one message of a [Conversation].
type Message struct {
	// Role is system, user, assistant or tool.
	Role string
	Text string
	// Tool is the full name of the tool whose result this is, and Call the id of the call; for role tool.
	Tool string
	Call string
	// Result is the tool's structured result as encoding/json decodes it. Nil means that Text is the result.
	Result any
}

// vars are the variables of the conversation.
func (c Conversation) vars() map[string]any {
	messages, results := make([]any, 0, len(c.Messages)), map[string]any{}
	task, turn, seen := "", 0, false
	last := message(Message{})
	for _, m := range c.Messages {
		last = message(m)
		messages = append(messages, last)
		switch m.Role {
		case "user":
			if !seen {
				task, seen = m.Text, true
			}
		case "assistant":
			turn++
		case "tool":
			result := m.Result
			if result == nil {
				result = m.Text
			}
			list, _ := results[m.Tool].([]any)
			results[m.Tool] = append(list, result)
		}
	}
	return map[string]any{"instructions": c.Instructions, "task": task, "messages": messages, "last": last, "turn": turn, "results": results}
}

func message(m Message) map[string]any {
	return map[string]any{"role": m.Role, "text": m.Text, "tool": m.Tool, "call": m.Call}
}

// Script is the compiled rules of a scripted model. It is safe for concurrent use.
type Script struct {
	model string
	rules []scriptRule
}

type scriptRule struct {
	when  *Condition
	text  *Template
	calls []scriptCall
	usage ScriptUsage
}

type scriptCall struct {
	tool      string
	arguments *tree
}

// ScriptAnswer is what a scripted model answers.
type ScriptAnswer struct {
	// Rule is the rule that answered, counted from 1.
	Rule  int
	Text  string
	Calls []ScriptCall
	Usage ScriptUsage
}

// NewScript compiles the rules of a scripted model; model is its name, for errors.
func NewScript(model string, rules []ScriptRule) (*Script, error) {
	s := &Script{model: model}
	for i, r := range rules {
		compiled, err := newScriptRule(r)
		if err != nil {
			return nil, fmt.Errorf("rule %d of model %q: %w", i+1, model, err)
		}
		s.rules = append(s.rules, compiled)
	}
	return s, nil
}

func newScriptRule(r ScriptRule) (scriptRule, error) {
	when, err := scriptLanguage.condition(r.When)
	if err != nil {
		return scriptRule{}, fmt.Errorf("when: %w", err)
	}
	text, err := scriptLanguage.template(r.Text)
	if err != nil {
		return scriptRule{}, fmt.Errorf("text: %w", err)
	}
	out := scriptRule{when: when, text: text}
	if r.Usage != nil {
		out.usage = *r.Usage
	}
	for i, call := range r.Calls {
		arguments, err := scriptLanguage.tree(orEmpty(call.Arguments))
		if err != nil {
			return scriptRule{}, fmt.Errorf("arguments of call %d: %w", i+1, err)
		}
		out.calls = append(out.calls, scriptCall{tool: call.Tool, arguments: arguments})
	}
	return out, nil
}

func orEmpty(arguments map[string]any) map[string]any {
	if arguments == nil {
		return map[string]any{}
	}
	return arguments
}

// Answer returns the answer of the first rule that holds. Where none holds, or a rule cannot be evaluated, the error
// names the model and the rule or the last message.
func (s *Script) Answer(c Conversation) (ScriptAnswer, error) {
	vars := c.vars()
	for i, r := range s.rules {
		holds, err := r.when.Holds(vars)
		if err != nil {
			return ScriptAnswer{}, fmt.Errorf("rule %d of model %q: %w", i+1, s.model, err)
		}
		if !holds {
			continue
		}
		answer, err := r.answer(vars)
		if err != nil {
			return ScriptAnswer{}, fmt.Errorf("rule %d of model %q: %w", i+1, s.model, err)
		}
		answer.Rule = i + 1
		return answer, nil
	}
	if len(c.Messages) == 0 {
		return ScriptAnswer{}, fmt.Errorf("no rule of model %q answers an empty conversation", s.model)
	}
	last := c.Messages[len(c.Messages)-1]
	return ScriptAnswer{}, fmt.Errorf("no rule of model %q answers the message of role %s: %q", s.model, last.Role, shorten(last.Text, 80))
}

func (r scriptRule) answer(vars map[string]any) (ScriptAnswer, error) {
	text, err := r.text.Text(vars)
	if err != nil {
		return ScriptAnswer{}, err
	}
	answer := ScriptAnswer{Text: text, Usage: r.usage}
	for _, call := range r.calls {
		value, err := call.arguments.value(vars)
		if err != nil {
			return ScriptAnswer{}, fmt.Errorf("call %s: %w", call.tool, err)
		}
		arguments, _ := value.(map[string]any)
		answer.Calls = append(answer.Calls, ScriptCall{Tool: call.tool, Arguments: arguments})
	}
	return answer, nil
}
