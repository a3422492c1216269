// Package past makes documents of runs that have ended and of what was proposed in runs, so that they can be found. It is a function
// of their records, in which secrets are redacted already; what looks like one all the same is left out. Results of tools are not in the
// documents: they may be long, and what a run made of them is in its answer.
//
// Each document says which sources the run had read, so that nobody takes what came from there for something else.
package past

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/ingest"
	"github.com/mainstay-dev/mainstay/reconciler/transcript"
	"github.com/mainstay-dev/mainstay/spec"
)

// Format identifies how documents are made: those that were made in another format are to be made again.
const Format = "past/1"

// The bounds of what stands in a document, in bytes.
const (
	// maxLine is for what is told in one line, such as a tool's arguments.
	maxLine = 160
	// maxTold is for a text that people or models wrote.
	maxTold = 64 << 10
	// maxCalls is how many tool calls are listed.
	maxCalls = 500
)

// Item is one document.
type Item struct {
	File kb.File
	run  spec.RunSummary
	// steps are those of the run; proposal is set where the document is about that.
	steps    []transcript.Step
	proposal *transcript.Proposal
	// left says that there is to be no document, and the file only says that the run has been looked at.
	left bool
}

// Of returns what is documented of a run: of one that has ended, itself and its proposals; of one that waits, its open proposals, for
// which no entries are needed.
func Of(entries []spec.Entry, run spec.RunSummary, h *spec.KnowledgeHistory) []Item {
	if run.Outcome == nil {
		var open []Item
		for _, p := range run.Waiting {
			open = append(open, proposalItem(run, &transcript.Proposal{Proposal: p, Branch: p.Branch(), Opened: p.At}))
		}
		return kept(open, h)
	}
	steps := transcript.Read(entries, run).Steps
	all := []Item{{File: File(run, h), run: run, steps: steps, left: !h.Includes(spec.HistoryRuns)}}
	for _, s := range steps {
		if s.Tool != nil && s.Tool.Proposal != nil {
			all = append(all, proposalItem(run, s.Tool.Proposal))
		}
	}
	return kept(all, h)
}

func kept(all []Item, h *spec.KnowledgeHistory) []Item {
	return slices.DeleteFunc(all, func(i Item) bool {
		return i.proposal != nil && (!h.Includes(spec.HistoryProposals) || i.proposal.Kind == spec.ProposalDirect)
	})
}

// File is the file of a run that has ended, which its record is not needed for. It is there even where runs are not to be found: whoever
// has it need not read the record again.
func File(run spec.RunSummary, h *spec.KnowledgeHistory) kb.File {
	what := "run"
	if !h.Includes(spec.HistoryRuns) {
		what = "seen"
	}
	return kb.File{
		Path: path.Join("runs", string(run.Agent), string(run.Run)),
		Blob: blob(run, what, strconv.Itoa(run.Entries)),
		Time: run.Updated.UTC().Truncate(time.Second),
	}
}

func proposalItem(run spec.RunSummary, p *transcript.Proposal) Item {
	f := kb.File{
		Path: path.Join("proposals", string(p.Agent), string(p.Key), fmt.Sprintf("%s-%d", run.Run, p.Exchange)),
		Blob: blob(run, "open", strconv.Itoa(p.Exchange)),
		Time: p.At.UTC().Truncate(time.Second),
	}
	if run.Outcome != nil {
		f.Blob = blob(run, "ended", strconv.Itoa(p.Exchange), strconv.Itoa(run.Entries))
	}
	if !p.Decided.IsZero() {
		f.Time = p.Decided.UTC().Truncate(time.Second)
	}
	return Item{File: f, run: run, proposal: p}
}

// RunOf is the run that a path is of, or "".
func RunOf(name string) spec.RunID {
	parts := strings.Split(name, "/")
	switch {
	case len(parts) == 3 && parts[0] == "runs":
		return spec.RunID(parts[2])
	case len(parts) == 4 && parts[0] == "proposals":
		run, _, _ := strings.Cut(parts[3], "-")
		return spec.RunID(run)
	}
	return ""
}

// prefix is what blobs of past runs begin with, and no others.
const prefix = "past:"

// blob identifies a document, and says what the run had read. A run that has ended never changes, and nor does a proposal of it.
func blob(run spec.RunSummary, parts ...string) string {
	return prefix + string(run.Run) + ":" + strings.Join(parts, ":") + " " + strings.Join(run.Read, ",")
}

// Origin says which run a document is about, and which sources that had read; "" where it is no document of this package.
func Origin(f kb.File) (run spec.RunID, read []string) {
	what, names, _ := strings.Cut(f.Blob, " ")
	rest, is := strings.CutPrefix(what, prefix)
	if !is {
		return "", nil
	}
	id, _, _ := strings.Cut(rest, ":")
	if names != "" {
		read = strings.Split(names, ",")
	}
	return spec.RunID(id), read
}

// Document makes the document. Its errors are those of [ingest.Sections].
func (i Item) Document(ctx context.Context, o ingest.Options) (kb.Document, error) {
	if i.left {
		return kb.Document{}, nil
	}
	title, sections := i.told()
	for n := range sections {
		sections[n].Text = clip(sections[n].Text, maxTold)
	}
	return ingest.Sections(ctx, kb.KindRun, title, sections, o)
}

// told is what the document says. All sections stand beneath the title, so that what is found of one says what it is about.
func (i Item) told() (title string, sections []ingest.Section) {
	add := func(what, text string) {
		if strings.TrimSpace(text) != "" {
			sections = append(sections, ingest.Section{Heading: []string{title, what}, Text: text})
		}
	}
	if p := i.proposal; p != nil {
		title = fmt.Sprintf("Proposal %s: %s", p.Branch, line(p.Title))
		add("What", what(p))
		add("Why", p.Body)
		add("What became of it", became(p, i.run))
		add("Run", fmt.Sprintf("%s of %s had the task: %s", i.run.Run, i.run.Agent, line(i.run.Text)))
		return title, sections
	}
	title = fmt.Sprintf("Run %s of %s (%s): %s", i.run.Run, i.run.Agent, i.run.Phase, line(i.run.Text))
	add("Task", i.run.Text+"\n\n"+began(i.run))
	add("Answer", i.run.Outcome.Output)
	add("Failure", outcome(i.run))
	add("Tool calls", calls(i.steps))
	add("Proposals", proposals(i.steps, i.run))
	return title, sections
}

// began says who has begun a run, and how it has ended.
func began(r spec.RunSummary) string {
	by := "a person"
	switch {
	case r.Trigger != "":
		by = "the trigger " + r.Trigger
	case r.Parent != nil:
		by = fmt.Sprintf("the run %s of %s", r.Parent.Run, r.Parent.Agent)
	case r.Thread != "":
		by = "a person in the thread " + line(string(r.Thread))
	}
	return fmt.Sprintf("(begun by %s on %s, at %s; %s on %s)", by, day(r.At), r.Revision.Short(), r.Phase, day(r.Updated))
}

// outcome says why a run has failed, and what it had done.
func outcome(r spec.RunSummary) string {
	o := r.Outcome
	var lines []string
	if o.Reason != "" {
		text := o.Reason + ": " + o.Message
		if o.By != "" {
			text += " (by " + line(o.By) + ")"
		}
		lines = append(lines, text)
	}
	if o.Escalated != "" {
		lines = append(lines, "It was brought before a person as the proposal "+string(o.Escalated)+".")
	}
	return strings.Join(append(lines, o.Done), "\n")
}

// calls lists tool calls with their arguments, and why one was refused or failed.
func calls(steps []transcript.Step) string {
	var lines []string
	left := 0
	for _, s := range steps {
		if s.Tool == nil {
			continue
		}
		if len(lines) == maxCalls {
			left++
			continue
		}
		text := line(s.Tool.Name + " " + string(s.Tool.Arguments))
		switch {
		case s.Refused != "":
			text += ": refused: " + line(s.Refused)
		case s.Tool.Result != nil && s.Tool.Result.IsError:
			text += ": failed: " + line(s.Tool.Result.Text)
		case s.Tool.Proposal != nil:
			text += ": proposed as " + string(s.Tool.Proposal.Key)
		case s.Child != nil:
			text += ": run " + string(s.Child.Run) + " of " + string(s.Child.Agent)
		}
		lines = append(lines, text)
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(lines, "\n")
}

func proposals(steps []transcript.Step, run spec.RunSummary) string {
	var lines []string
	for _, s := range steps {
		if s.Tool != nil && s.Tool.Proposal != nil {
			p := s.Tool.Proposal
			lines = append(lines, fmt.Sprintf("%s (%s): %s", line(p.Title), p.Branch, line(became(p, run))))
		}
	}
	return strings.Join(lines, "\n")
}

// what says what a proposal is to change.
func what(p *transcript.Proposal) string {
	text := p.Title + "\n"
	if p.Kind == spec.ProposalAction {
		text += fmt.Sprintf("\nThe action %s:\n", p.Action)
		for _, f := range p.Files {
			text += f.Content
		}
		return text
	}
	for _, f := range p.Files {
		if f.Remove {
			text += "\nremoves " + line(f.Path)
		} else {
			text += "\nwrites " + line(f.Path)
		}
	}
	return text
}

// became says what became of a proposal.
func became(p *transcript.Proposal, run spec.RunSummary) string {
	d := p.Decision
	switch {
	case d == nil && run.Outcome == nil:
		return "It is open."
	case d == nil:
		return "Nobody had decided when the run ended."
	}
	text := "It was " + line(d.State)
	if p.By != "" {
		text += " by " + line(p.By)
	}
	text += " on " + day(p.Decided)
	if d.Merge != "" {
		text += ", with the commit " + line(d.Merge)
	}
	if d.Reason != "" {
		text += ": " + line(d.Reason)
	}
	if d.Outcome != "" {
		text += ".\nThe action's receipt says: " + line(d.Outcome)
	}
	if d.Message != "" {
		text += ": " + line(d.Message)
	}
	if len(d.Result) > 0 {
		text += "\nThe tool answered: " + line(string(d.Result))
	}
	return text
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// line is a text on one line, which is not long.
func line(text string) string { return clip(strings.Join(strings.Fields(text), " "), maxLine) }

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
