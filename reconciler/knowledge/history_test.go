package knowledge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// memory keeps runs, and notes which records are read.
type memory struct {
	runs    []spec.RunSummary
	records map[spec.RunID][]spec.Entry
	read    []string
	fail    error
	open    int
}

func (m *memory) past(context.Context) (Past, func(), error) {
	m.open++
	return m, func() { m.open-- }, m.fail
}

func (m *memory) Runs(context.Context) ([]spec.RunSummary, error) {
	return slices.Clone(m.runs), nil
}

func (m *memory) Record(_ context.Context, run spec.RunID) ([]spec.Entry, uint64, error) {
	m.read = append(m.read, string(run))
	return m.records[run], uint64(len(m.records[run])), nil
}

func (m *memory) reads() string {
	all := strings.Join(m.read, " ")
	m.read = nil
	return all
}

// ends adds a run that has ended at a time after began.
func (m *memory) ends(id, agent, task, answer string, at time.Duration, read ...string) {
	t := spec.Task{Run: spec.RunID(id), Agent: spec.AgentName(agent), Text: task, At: began}
	o := &spec.Outcome{Phase: spec.PhaseSucceeded, Output: answer}
	entries := []spec.Entry{{Type: spec.EntryTask, At: began, Task: &t}, {Type: spec.EntryFinished, At: began.Add(at), Outcome: o}}
	m.keep(spec.RunSummary{Task: t, Phase: o.Phase, Outcome: o, Updated: began.Add(at), Entries: len(entries), Read: read}, entries)
}

func (m *memory) keep(sum spec.RunSummary, entries []spec.Entry) {
	m.forget(string(sum.Run))
	m.runs = append(m.runs, sum)
	if m.records == nil {
		m.records = map[spec.RunID][]spec.Entry{}
	}
	m.records[sum.Run] = entries
}

func (m *memory) forget(id string) {
	m.runs = slices.DeleteFunc(m.runs, func(r spec.RunSummary) bool { return string(r.Run) == id })
	delete(m.records, spec.RunID(id))
}

// proposed is a record in which a change was proposed and decided, or not yet where state is "".
func proposed(id, agent, key, state string) (spec.RunSummary, []spec.Entry) {
	t := spec.Task{Run: spec.RunID(id), Agent: spec.AgentName(agent), Text: "Raise the limit", At: began}
	p := spec.Proposal{Key: spec.ProposalKey(key), Kind: spec.ProposalChange, Agent: t.Agent, Run: t.Run, Exchange: 1, Title: "Raise the memory of checkout",
		Body: "It was killed thrice by the kernel.", Files: []spec.FileEdit{{Path: "manifests/checkout.yaml", Content: "memory: 512Mi"}}, At: began}
	call, _ := json.Marshal(map[string]any{"name": "repo__propose", "arguments": map[string]any{"title": p.Title}})
	entries := []spec.Entry{{Type: spec.EntryTask, At: began, Task: &t},
		{Type: spec.EntryRequest, At: began, N: 1, Request: &spec.Request{Lane: spec.MainLane, Kind: spec.RequestTool, Call: "c1", Body: call}},
		{Type: spec.EntryProposal, At: began, N: 1, Proposal: &p}}
	sum := spec.RunSummary{Task: t, Phase: spec.PhaseWaiting, Waiting: []spec.Proposal{p}, Updated: began, Entries: len(entries)}
	if state != "" {
		body, _ := json.Marshal(map[string]any{"structured": spec.ProposalDecision{State: state, Reason: "ask the owners first"}})
		o := &spec.Outcome{Phase: spec.PhaseSucceeded, Output: "Done."}
		entries = append(entries, spec.Entry{Type: spec.EntryAnswer, At: began.Add(time.Hour), N: 1, Answer: &spec.Answer{Body: body, By: "Ada"}},
			spec.Entry{Type: spec.EntryFinished, At: began.Add(time.Hour), Outcome: o})
		sum.Waiting, sum.Outcome, sum.Phase, sum.Updated, sum.Entries = nil, o, o.Phase, began.Add(time.Hour), len(entries)
	}
	return sum, entries
}

func newPast(t *testing.T) (*world, *memory) {
	m := &memory{}
	return newWorld(t, func(o *Options) { o.Past = m.past }), m
}

func historySource(t *testing.T, h spec.KnowledgeHistory) *spec.KnowledgeSource {
	return source(t, "past", spec.KnowledgeSourceSpec{History: &h})
}

func TestPastRunsAreFoundAndOnlyNewOnesAreRead(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Why is checkout slow?", "The cache of checkout is cold after each deployment.", time.Hour)
	m.ends("r2", "other", "What is the vault's code?", "The vault opens with 1234.", time.Hour)
	w.bring(s, Here{}, Indexed)
	equal(t, "files", w.files("past"), "runs/triage/r1")
	equal(t, "records", m.reads(), "r1")
	equal(t, "found", w.found("cold cache", s), "runs/triage/r1")
	equal(t, "found of another agent", w.found("vault code", s), "")

	// Nothing has changed: no record is read, and nothing is written.
	updates := w.engine.updates
	w.later(time.Minute)
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "")
	if w.engine.updates != updates {
		t.Error("an update was made of nothing")
	}
	m.ends("r3", "triage", "Why is the ledger slow?", "Its disk is full.", 2*time.Hour)
	w.later(time.Minute)
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "r3")
	equal(t, "files", w.files("past"), "runs/triage/r1 runs/triage/r3")

	// A run that is not kept any more is not found.
	m.forget("r1")
	w.later(time.Minute)
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "")
	equal(t, "found", w.found("cold cache", s), "")
	if m.open != 0 {
		t.Errorf("the runs are open %d times", m.open)
	}
}

func TestWhatBecameOfAProposalIsFound(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"*"}})
	m.keep(proposed("r1", "patcher", "k1", ""))
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "") // The summary of a run that waits has its open proposals.
	equal(t, "files", w.files("past"), "proposals/patcher/k1/r1-1")
	_, d, _, err := w.keeper.Document(t.Context(), "past", "proposals/patcher/k1/r1-1")
	if err != nil {
		t.Fatal(err)
	}
	says(t, text(d), "Raise the memory of checkout", "writes manifests/checkout.yaml", "killed thrice", "It is open.", "Proposal mainstay/patcher/k1: Raise the memory of checkout > Why")

	m.keep(proposed("r1", "patcher", "k1", "rejected"))
	w.later(time.Minute)
	w.bring(s, Here{}, Indexed)
	equal(t, "files", w.files("past"), "proposals/patcher/k1/r1-1 runs/patcher/r1")
	f, d, _, err := w.keeper.Document(t.Context(), "past", "proposals/patcher/k1/r1-1")
	if err != nil {
		t.Fatal(err)
	}
	says(t, text(d), "It was rejected by Ada on 2026-01-01 01:00 UTC: ask the owners first")
	if d.Kind != kb.KindRun || !f.Time.Equal(began.Add(time.Hour)) {
		t.Errorf("a %s of %s", d.Kind, f.Time)
	}
	_, d, _, err = w.keeper.Document(t.Context(), "past", "runs/patcher/r1")
	if err != nil {
		t.Fatal(err)
	}
	says(t, text(d), "repo__propose", "proposed as k1", "It was rejected by Ada")
}

func text(d kb.Document) string {
	var b strings.Builder
	for _, c := range d.Chunks {
		fmt.Fprintf(&b, "[%s]\n%s\n", strings.Join(c.Heading, " > "), c.Text)
	}
	return b.String()
}

func TestAHistoryHasWhatItIncludes(t *testing.T) {
	w, m := newPast(t)
	m.keep(proposed("r1", "patcher", "k1", "merged"))
	m.ends("r2", "patcher", "What is new?", "Nothing.", 100*time.Hour)
	only := historySource(t, spec.KnowledgeHistory{Agents: []string{"patcher"}, Include: []string{spec.HistoryProposals}})
	w.bring(only, Here{}, Indexed)
	equal(t, "found", w.found("patcher raise memory new nothing", only), "proposals/patcher/k1/r1-1")
	m.reads()
	w.later(time.Minute)
	w.bring(only, Here{}, Indexed)
	equal(t, "records of runs that are not found themselves", m.reads(), "")

	runs := historySource(t, spec.KnowledgeHistory{Agents: []string{"patcher"}, Include: []string{spec.HistoryRuns}})
	w.bring(runs, Here{}, Indexed)
	equal(t, "files", w.files("past"), "runs/patcher/r1 runs/patcher/r2")
	equal(t, "found", w.found("patcher raise memory", runs), "runs/patcher/r1 runs/patcher/r2")
	// What is included besides is found, though the engine knows the runs.
	w.bring(historySource(t, spec.KnowledgeHistory{Agents: []string{"patcher"}}), Here{}, Indexed)
	equal(t, "files", w.files("past"), "proposals/patcher/k1/r1-1 runs/patcher/r1 runs/patcher/r2")

	// Where documents are cut otherwise, all are made again.
	short := historySource(t, spec.KnowledgeHistory{Agents: []string{"patcher"}})
	short.Spec.Chunk = &spec.Chunk{Size: 100}
	if s := w.bring(short, Here{}, Indexed); s.Documents != 3 || len(strings.Fields(m.reads())) == 0 {
		t.Errorf("%d documents", s.Documents)
	}

	// Time passes.
	w.later(50 * time.Hour)
	late := historySource(t, spec.KnowledgeHistory{Agents: []string{"patcher"}, Since: spec.Duration(24 * time.Hour)})
	w.bring(late, Here{}, Indexed)
	equal(t, "files", w.files("past"), "runs/patcher/r2")
	w.later(100 * time.Hour)
	w.bring(late, Here{}, Indexed)
	equal(t, "files", w.files("past"), "")
}

// Whoever reads of a run learns what that had read, and what a run had read cannot be made up by what it says.
func TestADocumentSaysWhatItsRunHadRead(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Read the issue", "past:r9:run:2 docs\n# Sources\ndocs", time.Hour, "issues", "wiki")
	m.ends("r2", "triage", "Read nothing", "Nothing.", time.Hour)
	w.bring(s, Here{}, Indexed)
	for path, want := range map[string]string{"runs/triage/r1": "r1 [issues wiki]", "runs/triage/r2": "r2 []"} {
		f, _, _, err := w.keeper.Document(t.Context(), "past", path)
		if err != nil {
			t.Fatal(err)
		}
		run, read := w.keeper.Origin(f)
		equal(t, path, fmt.Sprint(run, " ", read), want)
	}
	if run, read := w.keeper.Origin(kb.File{Path: "runs/triage/r1", Blob: "0123 past:r1:run:2"}); run != "" || read != nil {
		t.Errorf("a file of a repository is of run %q, which had read %v", run, read)
	}
}

func TestWhileRunsCannotBeReadWhatWasKnownStays(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	w.keep(Here{}, s)
	w.state("past", Indexed)
	m.fail = errors.New("another process has it open")
	w.later(time.Minute)
	w.keep(Here{}, s)
	says(t, w.state("past", SourceUnavailable).Message, "the runs of the fleet cannot be read: another process has it open")
	equal(t, "found", w.found("cold cache", s), "runs/triage/r1")
}

func TestARunThatEndsIsFoundWithoutAWait(t *testing.T) {
	w, m := newPast(t)
	s, docs := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}}), filesSource(t, "docs/**")
	r := newRepository(t)
	here := r.here(r.commit(map[string]string{"docs/a.md": "# A\n\nLetters."}))
	w.keep(here, s, docs)
	equal(t, "told", w.told(), "Indexed Indexed")
	equal(t, "found", w.found("cold cache", s), "")
	_, notes, err := w.keeper.Search(t.Context(), []*spec.KnowledgeSource{s}, kb.Query{Text: "cold cache", Most: 1})
	if err != nil || len(notes) != 1 {
		t.Fatal(notes, err)
	}
	equal(t, "note", notes[0], "past holds no run yet")
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	w.keep(here, s, docs)
	equal(t, "found before it is said", w.found("cold cache", s), "")
	w.keeper.RunsChanged()
	w.keep(here, s, docs)
	equal(t, "found", w.found("cold cache", s), "runs/triage/r1")
	equal(t, "told", w.told(), "") // Who watches hears of the run itself.
}

// A run that ends while the runs are being read is read next.
func TestARunThatEndsMeanwhileIsNotMissed(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	first := true
	w.engine.reading = func(kb.File) {
		if first {
			first = false
			m.ends("r2", "triage", "Why is the ledger slow?", "Its disk is full.", time.Hour)
			w.keeper.RunsChanged()
		}
	}
	w.keep(Here{}, s)
	equal(t, "files", w.files("past"), "runs/triage/r1 runs/triage/r2")
}

// While a model makes no vectors runs are found by their words, and their records are not read again for it.
func TestRunsGetTheirVectorsLater(t *testing.T) {
	m := &memory{}
	fails := true
	w := newWorld(t, func(o *Options) {
		o.Past = m.past
		o.Embed = func(_ context.Context, _ *spec.Model, texts []string) ([][]float32, error) {
			if fails {
				return nil, errors.New("no such host")
			}
			return slices.Repeat([][]float32{{1, 2, 3}}, len(texts)), nil
		}
	})
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	s.Embed = model("nomic")
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	w.bring(s, Here{}, SourceUnavailable)
	equal(t, "files", w.files("past"), "runs/triage/r1")
	equal(t, "records", m.reads(), "r1")
	w.later(time.Minute)
	w.bring(s, Here{}, SourceUnavailable)
	equal(t, "records", m.reads(), "")
	fails = false
	w.engine.reads()
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "")
	equal(t, "documents that were made again", w.engine.reads(), "")
}

// In a database that several processes share, the runs are those of the process that keeps them: another one, such as a command on a
// person's machine, neither empties the history nor puts runs of its own into it.
func TestAHistoryInADatabaseIsOfWhoeverKeepsTheRuns(t *testing.T) {
	w, m := newPast(t)
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	w.bring(s, Here{}, Indexed)
	declared := fleet(s)
	declared.KnowledgeIn = &spec.Postgres{Schema: "shared"}
	w.keeper.Use(declared, Here{})
	m.forget("r1")
	m.ends("r2", "triage", "What is my password?", "It is hunter2.", time.Hour)
	w.later(time.Minute)
	w.bring(s, Here{}, Indexed)
	equal(t, "records", m.reads(), "r1")
	equal(t, "files", w.files("past"), "runs/triage/r1")
	w.keeper.opts.Own = true
	w.bring(s, Here{}, Indexed)
	equal(t, "files", w.files("past"), "runs/triage/r2")
}

// Where runs end all the time, looking at them takes a small part of the time.
func TestAHistoryRests(t *testing.T) {
	waited := make(chan time.Duration, 8)
	m := &memory{}
	w := newWorld(t, func(o *Options) {
		o.Past = m.past
		o.After = func(d time.Duration) <-chan time.Time {
			waited <- d
			return make(chan time.Time)
		}
	})
	s := historySource(t, spec.KnowledgeHistory{Agents: []string{"triage"}})
	m.ends("r1", "triage", "Why is checkout slow?", "The cache is cold.", time.Hour)
	w.engine.reading = func(kb.File) { w.later(100 * time.Millisecond) }
	w.keep(Here{}, s)
	m.ends("r2", "triage", "Why is the ledger slow?", "Its disk is full.", time.Hour)
	w.keeper.RunsChanged()
	ctx, stop := context.WithCancel(t.Context())
	w.keeper.Keep(ctx, fleet(s), Here{})
	if d := <-waited; d != time.Second {
		t.Errorf("it rests for %s", d)
	}
	stop()
	w.keeper.Wait()
	equal(t, "files", w.files("past"), "runs/triage/r1")
	w.later(time.Second)
	w.keep(Here{}, s)
	equal(t, "files", w.files("past"), "runs/triage/r1 runs/triage/r2")
}
