package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

// story tells events to a newcomer, in plain lines under numbered headings.
type story struct {
	out     io.Writer
	chapter int
	told    string // the last heading
	// first is the run that the first revision started; the story is about that one.
	first spec.RunID
}

func (s *story) heading(text string) {
	if text == s.told {
		return
	}
	s.told = text
	s.chapter++
	fmt.Fprintf(s.out, "\n%d. %s\n", s.chapter, text)
}

// line prints a line with a label in the first column.
func (s *story) line(label, format string, args ...any) {
	text := spec.Visible(fmt.Sprintf(format, args...)) // Agents and models wrote much of it.
	fmt.Fprintf(s.out, "  %-12s %s\n", label, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 15)))
}

func (s *story) tell(e reconciler.Event) {
	switch e.Type {
	case reconciler.RevisionLoaded:
		if s.first != "" {
			s.heading("The merge is the next revision")
		}
		s.line("revision", "%s loaded and checked: %d resources, no problem", e.Revision.Short(), len(e.Fleet.Resources))
	case reconciler.RevisionBroken:
		for _, p := range e.Problems {
			s.line("problem", "%s", p)
		}
	case reconciler.RevisionHeld:
		s.line("held", "%s", e.Err)
	case reconciler.Planned:
		if len(e.Steps) == 0 {
			s.line("plan", "nothing to do")
		}
		for _, step := range e.Steps {
			s.line("plan", "%s %s: %s", step.Verb, step.Ref, step.Why)
		}
	case reconciler.StepDone:
		s.line("agent", "%s is ready: its %s\nit holds no secret and has no network; all it can do is ask its host", step(e), e.Text)
	case reconciler.StepFailed:
		s.line("failed", "%s: %v", step(e), e.Err)
	case reconciler.ModelChanged:
		if e.Err != nil {
			s.line("model", "%s: %v", e.Resource, e.Err)
		} else {
			s.line("model", "%s: %s", e.Resource, e.Text)
		}
	case reconciler.KnowledgeChanged:
		if e.Err != nil {
			s.line("knowledge", "%s: %v", e.Resource, e.Err)
		} else {
			s.line("knowledge", "%s: %s", e.Resource, e.Text)
		}
	case reconciler.RunQueued:
		if s.first == "" {
			s.first = e.Run
			s.heading("A trigger gives the agent a task")
			s.line("run", "%s for %s, started by trigger %s", e.Run, e.Task.Agent, e.Task.Trigger)
		}
	case reconciler.Answered:
		if e.Run == s.first {
			s.answered(e)
		}
	case reconciler.RunRetrying:
		s.line("run", "%v\ntried again in %s", e.Err, e.Text)
	case reconciler.RunWaiting:
		s.line("run", "waits for %s; while it waits no process is needed", e.Text)
	case reconciler.ActionSettled:
		if e.Err != nil {
			s.line("action", "%v", e.Err)
			return
		}
		if e.Approval != nil {
			s.line("action", "approved by %s in merge %s", e.Approval.Approver, e.Approval.Merge[:7])
		}
		s.line("action", "claimed, its precondition checked, executed once: %s\nclaim, start and receipt are signed commits on mainstay/ledger", e.Text)
	case reconciler.RunFinished:
		if e.Run != s.first {
			return
		}
		s.heading("The run goes on with the result")
		s.line("run", "%s", e.Outcome.Phase)
		fmt.Fprintf(s.out, "\n%s\n", indent(spec.Visible(e.Outcome.Output), "    "))
	case reconciler.SourceFailed, reconciler.Warned:
		s.line("warning", "%v", e.Err)
	}
}

func step(e reconciler.Event) string { return e.Step.Ref.Name }

// answered tells one exchange between the agent and its host.
func (s *story) answered(e reconciler.Event) {
	switch e.Request.Kind {
	case spec.RequestModel:
		var answer struct {
			Text  string `json:"text"`
			Calls []struct {
				Name string `json:"name"`
			} `json:"calls"`
		}
		if e.Answer.Error != "" || json.Unmarshal(e.Answer.Body, &answer) != nil {
			s.line("model", "failed: %s", e.Answer.Error)
			return
		}
		var names []string
		for _, c := range answer.Calls {
			names = append(names, c.Name)
		}
		if len(names) > 0 {
			s.line("model", "asks for %s", strings.Join(names, " and "))
		} else {
			s.line("model", "has its answer")
		}
	case spec.RequestTool:
		s.line("tool", "%s\n%s", toolCall(e.Request), verdict(e.Answer))
	}
}

// verdict says in a few words how a tool call was answered.
func verdict(a *spec.Answer) string {
	var result struct {
		Structured struct{ State, Reason, Outcome string } `json:"structured"`
	}
	switch {
	case a.Error != "":
		return "refused: " + a.Error
	case a.Rule != "":
		return "answered (" + a.Rule + ")"
	case json.Unmarshal(a.Body, &result) == nil && result.Structured.State != "":
		return strings.TrimSpace("decided: " + result.Structured.State + " " + result.Structured.Outcome + result.Structured.Reason)
	default:
		return "answered"
	}
}

func indent(text, by string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = by + l
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// short cuts text to n characters.
func short(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}
