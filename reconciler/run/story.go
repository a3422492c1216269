package run

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxLine bounds a piece of text in a story, in bytes.
const maxLine = 160

// Story tells a run's record in plain text, one line for each entry: when, which exchange, what, and for answers which rule
// decided. What was done and the outcome's text come last, in full. It is [spec.Visible].
func Story(entries []spec.Entry, w io.Writer) error {
	requests := map[int]spec.Entry{}
	attempts := 0
	for _, e := range entries {
		number := ""
		if e.N > 0 {
			number = fmt.Sprintf("#%d", e.N)
		}
		if e.Type == spec.EntryAttempt {
			attempts++
		}
		if e.Type == spec.EntryRequest && !e.Restarted {
			requests[e.N] = e
		}
		line := fmt.Sprintf("%s  %-4s %-9s %s", e.At.UTC().Format(time.DateTime), number, e.Type, tell(e, requests[e.N], attempts))
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	if len(entries) == 0 || entries[len(entries)-1].Outcome == nil {
		return nil
	}
	done := entries[len(entries)-1].Outcome.Done
	if used := Summarize(entries).Usage; done == "" && used.Currency != "" {
		done = "It used " + usageText(used) + "."
	}
	for _, text := range []string{done, entries[len(entries)-1].Outcome.Output} {
		if text == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", spec.Visible(text)); err != nil {
			return err
		}
	}
	return nil
}

// tell says what one entry is about. asked is the request that an answer or a proposal belongs to.
func tell(e, asked spec.Entry, attempts int) string {
	switch {
	case e.Child != nil:
		return fmt.Sprintf("run %s of %s has the task: %s", e.Child.Run, e.Child.Agent, oneLine(e.Child.Text, maxLine))
	case e.Task != nil:
		by := ""
		if e.Task.Trigger != "" {
			by = " (trigger " + e.Task.Trigger + ")"
		}
		if p := e.Task.Parent; p != nil {
			by = fmt.Sprintf(" (for exchange %d of run %s of %s)", p.Exchange, p.Run, p.Agent)
		}
		if e.Task.Thread != "" {
			by += fmt.Sprintf(" (thread %s, after %s)", oneLine(string(e.Task.Thread), maxLine), plural(len(e.Task.History), "message"))
		}
		return fmt.Sprintf("%s at %s%s: %s", e.Task.Agent, e.Task.Revision.Short(), by, oneLine(e.Task.Text, maxLine))
	case e.Compaction != nil:
		return tellCompaction(*e.Compaction)
	case e.Attempt != nil:
		return fmt.Sprintf("%d: process %d, isolation %s", attempts, e.Attempt.PID, oneLine(e.Attempt.Isolation, maxLine))
	case e.Request != nil:
		again := ""
		if e.Restarted {
			again = " (asked again: the first answer was cut off)"
		}
		return tellRequest(*e.Request) + again
	case e.Answer != nil:
		return tellAnswer(e, asked)
	case e.Proposal != nil:
		p := e.Proposal
		if p.Kind == spec.ProposalDirect {
			return oneLine(fmt.Sprintf("action %s: %s", p.Action, p.Title), maxLine) + "; waits until it is known what became of it"
		}
		return oneLine(fmt.Sprintf("%s %s: %s", p.Kind, p.Branch(), p.Title), maxLine) + "; waits for a review"
	case e.Outcome != nil && e.Outcome.Reason != "":
		return e.Outcome.Phase + ": " + e.Outcome.Reason + ": " + oneLine(e.Outcome.Message, maxMessage)
	case e.Outcome != nil:
		return e.Outcome.Phase
	}
	return ""
}

func tellCompaction(c spec.Compaction) string {
	text := fmt.Sprintf("the oldest %s of the thread are left out", plural(c.Left, "message"))
	if c.Summarized {
		text += " and summarized"
	}
	if c.Usage != nil {
		text += fmt.Sprintf(" (%d+%d tokens)", c.Usage.Input, c.Usage.Output)
	}
	return text
}

func tellRequest(q spec.Request) string {
	var text string
	switch q.Kind {
	case spec.RequestTool:
		t := toolBody(q.Body)
		text = cmp.Or(t.Name, "tool") + " " + string(t.Arguments)
	case spec.RequestModel:
		var m struct {
			Messages []json.RawMessage `json:"messages"`
			Tools    []json.RawMessage `json:"tools"`
		}
		text = "model"
		if json.Unmarshal(q.Body, &m) == nil {
			text = fmt.Sprintf("model, with %s and %s", plural(len(m.Messages), "message"), plural(len(m.Tools), "tool"))
		}
	default:
		text = q.Kind
	}
	if q.Lane != spec.MainLane {
		text = "[" + string(q.Lane) + "] " + text
	}
	return oneLine(text, maxLine)
}

func tellAnswer(e, asked spec.Entry) string {
	var text string
	var body struct {
		Text       string          `json:"text"`
		Structured json.RawMessage `json:"structured"`
		IsError    bool            `json:"isError"`
		Calls      []toolUse       `json:"calls"`
	}
	switch a := e.Answer; {
	case a.Error != "":
		text = "refused: " + a.Error
	case json.Unmarshal(a.Body, &body) != nil || body.Text == "" && len(body.Structured) == 0 && len(body.Calls) == 0:
		text = string(a.Body)
	default:
		text = body.Text
		if text == "" {
			text = string(body.Structured)
		}
		if body.IsError {
			text = "failed: " + text
		}
		var calls []string
		for _, call := range body.Calls {
			calls = append(calls, oneLine(call.Name+" "+string(call.Arguments), maxLine/2))
		}
		if len(calls) > 0 {
			text = strings.TrimSpace(oneLine(text, maxLine/2) + " -> " + strings.Join(calls, " and "))
		}
	}
	text = oneLine(text, 2*maxLine)
	var notes []string
	if e.Answer.Rule != "" {
		by := "decided by "
		if asked.Request != nil && asked.Request.Kind == spec.RequestCheck {
			by = "refused by "
		}
		notes = append(notes, by+oneLine(e.Answer.Rule, maxLine))
	}
	if u := e.Answer.Usage; u != nil {
		notes = append(notes, usageText(*u))
	}
	if took := e.At.Sub(asked.At); asked.Request != nil && took >= time.Millisecond {
		notes = append(notes, took.Round(time.Millisecond).String())
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// toolUse is what a story shows of a tool call. Bodies are the runtime protocol's and opaque to a run otherwise.
type toolUse struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

func toolBody(body json.RawMessage) toolUse {
	var t toolUse
	if json.Unmarshal(body, &t) != nil {
		return toolUse{Arguments: body}
	}
	return t
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// oneLine is text for people on one line of at most max bytes.
func oneLine(text string, max int) string {
	return clip(strings.Join(strings.Fields(spec.Visible(text)), " "), max)
}
