package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/transcript"
	"github.com/mainstay-dev/mainstay/spec"
)

// teller writes a transcript for a person. All that it writes is [spec.Visible].
type teller struct {
	b     strings.Builder
	width int
	// full says that nothing is cut; cut that something was.
	full, cut bool
	day       string
}

const (
	// margin is where texts begin, to the right of what they are.
	margin = 13
	// maxValue is how many lines of a text are shown.
	maxValue = 8
)

func (w *teller) tell(t *transcript.Transcript) string {
	fmt.Fprintf(&w.b, "Run %s of %s: %s\n", t.Run, t.Agent, w.state(t))
	by := "a person"
	switch {
	case t.Trigger != "":
		by = "trigger " + t.Trigger
	case t.Parent != nil:
		by = fmt.Sprintf("exchange %d of run %s of %s", t.Parent.Exchange, t.Parent.Run, t.Parent.Agent)
	case t.Thread != "":
		by += " in thread " + string(t.Thread)
	}
	w.day = t.At.UTC().Format(time.DateOnly)
	w.line("started by", by+", "+t.At.UTC().Format(time.DateTime)+" UTC")
	w.line("revision", string(t.Revision))
	if t.Digest != "" {
		w.line("agent", string(t.Agent)+", digest "+t.Digest.Short())
	}
	w.text("task", t.Text)
	for _, i := range t.Images {
		w.line("", i.String())
	}
	for _, s := range t.Steps {
		w.step(t, s)
	}
	w.end(t)
	if w.cut {
		w.b.WriteString("\nLong texts are cut; --full shows all of them.\n")
	}
	return w.b.String()
}

func (w *teller) state(t *transcript.Transcript) string {
	switch {
	case t.Outcome != nil && t.Outcome.Reason != "":
		return spec.Visible(t.Phase + ", " + t.Outcome.Reason)
	case t.Outcome == nil && waitsFor(t.RunSummary) != "":
		return t.Phase + strings.TrimPrefix(waitsFor(t.RunSummary), "waits")
	}
	return t.Phase
}

func (w *teller) step(t *transcript.Transcript, s transcript.Step) {
	switch {
	case s.Attempt != nil:
		w.attempt(s)
	case s.Model != nil:
		w.turn(t, s)
	case s.Tool != nil:
		w.tool(s)
	case s.Check != nil:
		w.item(s, "checks its output")
		if s.Refused == "" && s.Answered {
			w.line("", cmp.Or(s.Check.Problem, "the output may end the run"))
		}
	default:
		w.item(s, "asks for "+s.Other.Kind)
		w.value("", s.Other.Answer)
	}
	for _, d := range s.Delays {
		w.text("delayed", w.clock(d.At)+", "+d.Why)
		for _, a := range d.Tried {
			if a.Usage != nil {
				w.text("tried", tried(a))
			}
		}
	}
	if s.Again > 0 {
		why := "a crash had cut the answer off"
		if len(s.Delays) > 0 {
			why = "there was no answer yet"
		}
		w.line("again", fmt.Sprintf("asked %s more, because %s", times(s.Again), why))
	}
	if s.N > 0 && !s.Answered && (s.Tool == nil || s.Tool.Proposal == nil) {
		w.line("", "there is no answer yet")
	}
}

func (w *teller) attempt(s transcript.Step) {
	text := fmt.Sprintf("A process takes the run up, with the isolation %s.", cmp.Or(s.Attempt.Isolation, "none"))
	switch {
	case s.Attempt.Waited > 0:
		text = fmt.Sprintf("After a wait of %s without a process, a new one goes on: what was answered before is told to it again.", long(s.Attempt.Waited))
	case s.Attempt.Number > 1:
		text = "The process before had ended, or its host. A new one goes on: what was answered before is told to it again."
	}
	w.paragraph(w.clock(s.At), text)
}

// turn writes a request for a model's answer.
func (w *teller) turn(t *transcript.Transcript, s transcript.Step) {
	title := fmt.Sprintf("Turn %d%s, %s", s.Model.Turn, lane(s), w.clock(s.At))
	if s.Took >= spec.Duration(time.Millisecond) {
		title += ", " + brief(s.Took)
	}
	if u := s.Model.Usage; u != nil && *u != (spec.Usage{}) {
		title += ", " + usageText(*u)
	}
	fmt.Fprintf(&w.b, "\n%s\n", spec.Visible(title))
	if s.Model.Afresh {
		w.line("told", "a conversation that does not go on from the one before:")
	}
	for _, m := range s.Model.Told {
		w.message(t, m)
	}
	if len(s.Model.Tools) > 0 {
		w.line("offered", strings.Join(s.Model.Tools, ", "))
	}
	if s.Refused != "" {
		w.text("refused", s.Refused)
	}
	if d := s.Model.Decision; d != nil {
		w.decision(d, s.Refused)
	}
	if s.Model.Says != "" {
		w.text("says", s.Model.Says)
	}
	var names []string
	for _, c := range s.Model.Calls {
		names = append(names, c.Name)
	}
	if len(names) > 0 {
		w.line("calls", strings.Join(names, " and "))
	}
}

// tried tells of a model that was asked and gave no answer.
func tried(a spec.ModelAttempt) string {
	text := strings.TrimSuffix(fmt.Sprintf("%s, %s: %s", a.Model, a.Reason, a.Error), ": ")
	switch {
	case a.Usage == nil:
		return text
	case a.Estimated:
		return text + " (about " + usageText(*a.Usage) + ")"
	}
	return text + " (" + usageText(*a.Usage) + ")"
}

// decision tells how a model came to answer, where that is more than that the agent's own was asked and what it was refused for.
func (w *teller) decision(d *spec.ModelDecision, refused string) {
	var before []string
	for _, a := range d.Attempts {
		if strings.Contains(refused, a.Error) { // That is told already.
			a.Error = ""
		}
		if a.Error != "" || a.Usage != nil {
			before = append(before, tried(a))
		}
	}
	if d.Why != "" || len(before) > 0 {
		w.line("model", strings.TrimSuffix(d.Model+", "+d.Why, ", "))
	}
	for _, text := range before {
		w.text("tried", text)
	}
	if d.Compacted != "" {
		w.line("compacted", d.Compacted)
	}
	for _, repaired := range d.Repaired {
		w.text("repaired", repaired)
	}
}

func (w *teller) message(t *transcript.Transcript, m plugins.Message) {
	switch {
	case m.Role == plugins.RoleUser && m.Text == t.Text:
		w.line("told", "its instructions, and the task")
		return
	case m.Role == plugins.RoleTool:
		w.text("told", "the result of "+m.Tool+": "+m.Text)
	case m.Role == plugins.RoleAssistant:
		w.text("told", "that it said: "+m.Text)
	default:
		w.text("told", m.Text)
	}
	if m.Role == plugins.RoleTool { // The text of a result names its images.
		return
	}
	for _, i := range m.Images {
		w.line("", spec.Image{Digest: spec.Digest(i.Digest), MediaType: i.MediaType, Bytes: i.Bytes}.String())
	}
}

func (w *teller) item(s transcript.Step, what string) {
	title := fmt.Sprintf("#%d%s %s", s.N, lane(s), what)
	if s.Took >= spec.Duration(time.Millisecond) {
		title += ", " + brief(s.Took)
	}
	fmt.Fprintf(&w.b, "  %s\n", oneLine(title))
	if s.Child != nil {
		w.line("given to", fmt.Sprintf("%s: mainstay runs show %s", s.Child.Agent, s.Child.Run))
	}
	if s.Refused != "" && s.Tool == nil {
		w.text("refused", s.Refused)
	}
}

// tool writes a tool call: with what, who decided what, and the result.
func (w *teller) tool(s transcript.Step) {
	w.item(s, s.Tool.Name)
	p := s.Tool.Proposal
	if p == nil || p.Kind != spec.ProposalChange || w.full { // What is changed is told with the proposal.
		w.value("with", s.Tool.Arguments)
	}
	if s.Rule != "" {
		verb := "decided"
		switch {
		case p != nil:
			verb = "proposed"
		case s.Refused == "" && s.Answered:
			verb = "allowed"
		}
		w.line(verb, "by "+s.Rule)
	}
	switch {
	case p != nil:
		w.proposal(p)
	case s.Refused != "":
	case s.Tool.Result == nil:
	case s.Tool.Result.IsError:
		w.text("failed", resultText(*s.Tool.Result))
	case len(s.Tool.Result.Structured) > 0 && s.Tool.Result.Text == "":
		w.value("result", s.Tool.Result.Structured)
	default:
		w.text("result", s.Tool.Result.Text)
	}
	if s.Refused != "" {
		w.text("refused", s.Refused)
	}
}

func resultText(r plugins.ToolResult) string { return cmp.Or(r.Text, string(r.Structured)) }

func (w *teller) proposal(p *transcript.Proposal) {
	if p.Kind == spec.ProposalDirect {
		w.line("action", string(p.Action)+": "+p.Title)
		if p.Decided.IsZero() {
			w.line("waits", "since "+p.Opened.UTC().Format(time.DateTime)+" until it is known what became of it: mainstay describe action "+string(p.Action))
			return
		}
		w.line("known", fmt.Sprintf("%s, after %s: mainstay describe action %s", p.Decided.UTC().Format(time.DateTime), long(p.Waited), p.Action))
		return
	}
	w.line("proposal", string(p.Key)+": "+p.Title)
	for _, f := range p.Files {
		text := fmt.Sprintf("writes %s, %s", f.Path, count(strings.Count(f.Content, "\n"), "line"))
		if f.Remove {
			text = "removes " + f.Path
		}
		w.line("", text)
	}
	d := p.Decision
	if d == nil {
		if p.Decided.IsZero() {
			w.line("waits", "since "+p.Opened.UTC().Format(time.DateTime)+" for a person to decide: mainstay proposals show "+string(p.Key))
		}
		return
	}
	text := d.State
	if p.By != "" {
		text += " by " + p.By
	}
	text += fmt.Sprintf(", %s, after %s", p.Decided.UTC().Format(time.DateTime), long(p.Waited))
	if d.Merge != "" {
		text += ", as " + d.Merge[:min(len(d.Merge), shortHead)]
	}
	w.line("decided", text)
	if d.Reason != "" {
		w.text("reason", d.Reason)
	}
	if d.Outcome != "" {
		w.text("executed", strings.TrimSuffix(d.Outcome+": "+d.Message, ": "))
	} else if d.Message != "" {
		w.text("", d.Message)
	}
	w.value("result", d.Result)
}

func (w *teller) end(t *transcript.Transcript) {
	if t.Outcome == nil {
		w.paragraph("", "The run has not ended: it is "+w.state(t)+".")
		if t.Delayed != "" {
			w.text("because", t.Delayed)
		}
	} else {
		w.paragraph(w.clock(t.Updated), "The run ended: "+w.state(t)+".")
		if t.Outcome.Message != "" {
			w.text("because", t.Outcome.Message)
		}
		if t.Outcome.Output != "" { // It is what the run was for, so that it is never cut.
			fmt.Fprintf(&w.b, "\n%s\n", indent(spec.Visible(t.Outcome.Output), "  "))
		}
	}
	text := "It took " + long(spec.Duration(max(t.Updated.Sub(t.At), 0)))
	if t.Waited > 0 {
		text += ", of which it waited " + long(t.Waited) + " for others"
	}
	text += fmt.Sprintf(": %s, %s, %s", count(t.Turns, "turn"), count(t.ToolCalls, "tool call"), plurals(t.Attempts, "process", "processes"))
	if t.Usage != (spec.Usage{}) {
		text += fmt.Sprintf(", %d tokens read and %d written", t.Usage.Input, t.Usage.Output)
	}
	if money := t.Usage.Money(); money != "" {
		text += ", " + money
	}
	w.b.WriteString(strings.Join(broken(text+".", w.width), "\n") + "\n")
}

func plurals(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func lane(s transcript.Step) string {
	if s.Lane == "" {
		return ""
	}
	return " [" + string(s.Lane) + "]"
}

// clock is the time of day, with the day where that is another one than before.
func (w *teller) clock(t time.Time) string {
	t = t.UTC()
	if day := t.Format(time.DateOnly); day != w.day {
		w.day = day
		return t.Format(time.DateTime)
	}
	return t.Format(time.TimeOnly)
}

func (w *teller) paragraph(when, text string) {
	if when != "" {
		text = when + "  " + text
	}
	w.b.WriteString("\n" + strings.Join(broken(spec.Visible(text), w.width), "\n") + "\n")
}

// line writes a text that Mainstay made, in which names of others may be.
func (w *teller) line(label, text string) {
	w.put(label, broken(oneLine(text), w.width-margin))
}

// text writes somebody's text.
func (w *teller) text(label, text string) {
	w.put(label, w.clip(broken(strings.TrimRight(spec.Visible(text), "\n "), w.width-margin)))
}

// value writes JSON: in one line where it fits, and otherwise an object field by field, with its texts as they are.
func (w *teller) value(label string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	room := w.width - margin
	if text := spec.Visible(string(raw)); utf8.RuneCountInString(text) <= room && !strings.Contains(text, `\n`) {
		w.put(label, []string{text})
		return
	}
	w.put(label, fields(raw, room, w.clip))
}

// fields are the lines of a JSON value.
func fields(raw json.RawMessage, room int, clip func([]string) []string) []string {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return clip(broken(spec.Visible(string(raw)), room))
	}
	var lines []string
	for d.More() {
		name, err := d.Token()
		var v json.RawMessage
		if err == nil {
			err = d.Decode(&v)
		}
		if err != nil {
			return clip(broken(spec.Visible(string(raw)), room))
		}
		text := string(v)
		var s string
		if json.Unmarshal(v, &s) == nil {
			text = strings.TrimRight(s, "\n")
		}
		text = spec.Visible(text)
		if head := spec.Visible(fmt.Sprint(name)) + ":"; strings.Contains(text, "\n") {
			lines = append(lines, head)
			for _, l := range clip(broken(text, room-2)) {
				lines = append(lines, "  "+l)
			}
		} else {
			lines = append(lines, clip(broken(head+" "+text, room))...)
		}
	}
	return lines
}

func (w *teller) clip(lines []string) []string {
	if w.full || len(lines) <= maxValue+1 { // To say that one line is left out takes a line too.
		return lines
	}
	w.cut = true
	return append(lines[:maxValue:maxValue], fmt.Sprintf("… %d more lines", len(lines)-maxValue))
}

// put writes lines with a label in front of the first.
func (w *teller) put(label string, lines []string) {
	for i, l := range lines {
		if i > 0 {
			label = ""
		}
		w.b.WriteString(strings.TrimRight(fmt.Sprintf("  %-*s%s", margin-2, label, l), " ") + "\n")
	}
}

// broken breaks a text into lines of at most so many characters, between words where it can.
func broken(text string, room int) []string {
	var out []string
	for l := range strings.SplitSeq(text, "\n") {
		r := []rune(strings.ReplaceAll(l, "\t", "    "))
		for len(r) > room {
			at := room
			for at > room/2 && r[at] != ' ' {
				at--
			}
			if r[at] != ' ' {
				at = room
			}
			out = append(out, strings.TrimRight(string(r[:at]), " "))
			r = r[at:]
			if len(r) > 0 && r[0] == ' ' {
				r = r[1:]
			}
		}
		out = append(out, string(r))
	}
	return out
}

// brief is a short duration as people read it, and long is any.
func brief(d spec.Duration) string { return time.Duration(d).Round(time.Millisecond).String() }

func long(d spec.Duration) string {
	t := time.Duration(d)
	switch {
	case t < time.Second:
		return t.Round(time.Millisecond).String()
	case t < time.Hour:
		return t.Round(time.Second).String()
	case t < 48*time.Hour:
		return strings.TrimSuffix(t.Round(time.Minute).String(), "0s")
	}
	days := int(t.Hours()) / 24
	if hours := int(t.Hours()) % 24; hours > 0 {
		return count(days, "day") + " and " + count(hours, "hour")
	}
	return count(days, "day")
}
