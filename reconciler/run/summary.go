package run

import (
	"slices"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/spec"
)

// Summarize derives the state of a run from its record. Entries that make no sense count for nothing: to report them is
// the engine's part.
func Summarize(entries []spec.Entry) spec.RunSummary {
	s, _ := fold(entries)
	sum := s.summary()
	sum.Entries = len(entries)
	return sum
}

func (s *state) summary() spec.RunSummary {
	sum := spec.RunSummary{
		Task: s.task, Attempts: s.attempts, Turns: s.turns, ToolCalls: s.calls, Usage: s.usage, Spent: slices.Clone(s.spent), Read: s.read,
		Updated: s.updated, Outcome: s.outcome,
	}
	sum.History = nil // It is the record's, and long.
	running := slices.ContainsFunc(s.exchanges, func(x *exchange) bool { return x.answer == nil && !x.waits() })
	switch {
	case s.outcome != nil:
		sum.Phase = s.outcome.Phase
		return sum // Nobody waits for its proposals and its children any more.
	case !s.ready() && !running:
		sum.Phase = spec.PhaseWaiting
	case s.attempts == 0 || s.decided:
		sum.Phase = spec.PhaseQueued
	default:
		sum.Phase = spec.PhaseRunning
	}
	sum.Waiting, sum.Children = s.waiting(), s.children()
	for _, x := range s.exchanges {
		if x.answer == nil && x.delayed != "" {
			sum.Delayed = x.delayed
		}
	}
	return sum
}

// maxGlance bounds a text in a glance, in bytes.
const maxGlance = 16 << 10

// Glance cuts a summary to what is small enough to be kept for every run and listed: long texts are cut off, and the
// files of proposals have no content. The record has them in full.
func Glance(sum spec.RunSummary) spec.RunSummary {
	sum.Text = clip(sum.Text, maxGlance)
	sum.Delayed = clip(sum.Delayed, maxGlance)
	sum.Waiting = slices.Clone(sum.Waiting)
	for i, p := range sum.Waiting {
		p.Body = clip(p.Body, maxGlance)
		p.Files = slices.Clone(p.Files)
		for j := range p.Files {
			p.Files[j].Content = ""
		}
		sum.Waiting[i] = p
	}
	if sum.Outcome != nil {
		o := *sum.Outcome
		o.Output = clip(o.Output, maxGlance)
		sum.Outcome = &o
	}
	return sum
}

// clip cuts a text to at most max bytes, between two characters, and says so with an ellipsis.
func clip(text string, max int) string {
	const more = "…"
	if len(text) <= max {
		return text
	}
	end := max - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
