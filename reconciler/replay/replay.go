// Package replay gives a recorded run to its agent once more, as another revision declares it, and finds where that goes
// another way. The agent's process gets recorded answers; no tool is called, nothing is proposed and nothing is kept. A model
// is asked only where the caller says so, and only where it would be told something else than it was.
//
// The run is worked on by the engine of package run, over a memory, and the record stands in for the broker. What the host
// adds to an agent's requests, which are the same bytes whatever a revision says, is compared besides: instructions, model,
// tools, and what policy decides.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// Side is what a run is replayed against, or was recorded with.
type Side struct {
	Fleet *spec.Fleet
	// Root is the folder of the repository that holds mainstay.yaml.
	Root string
	// Name says what it is, for people.
	Name string
}

// Options are what [Run] needs.
type Options struct {
	Recording *run.Recording
	// Was is what the run was recorded with, nil where that cannot be had; then only what the record holds is compared.
	Was *Side
	// Is is what it is replayed against, nil to replay it against what it was recorded with: then policies are not
	// compared, because a run is decided by those of the newest revision at its time.
	Is *Side
	// Open starts the task on a process of the agent, which knows these tools.
	Open func(ctx context.Context, task spec.Task, agent *spec.Agent, tools []broker.Tool) (run.Session, error)
	// Ask asks the agent's model. Nil asks none.
	Ask func(ctx context.Context, call run.Call) (run.Reply, error)
	// Now is the clock. After is time.After where it is nil.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Report is what came of a replay.
type Report struct {
	Run   spec.RunID     `json:"run"`
	Agent spec.AgentName `json:"agent"`
	Was   string         `json:"was"`
	Is    string         `json:"is"`
	Same  bool           `json:"same"`
	// Exchanges is how many the record has, Replayed how many of them the agent has repeated.
	Exchanges int `json:"exchanges"`
	Replayed  int `json:"replayed"`
	// Differences are in the order of the record's exchanges.
	Differences []Difference `json:"differences"`
	// Ended says how far the replay came, in one sentence.
	Ended string `json:"ended"`
	// Notes say what was not compared.
	Notes []string `json:"notes,omitempty"`
}

// The kinds of differences.
const (
	// Told: the agent asks for the same, and its model would be told something else.
	Told = "told"
	// Decided: the agent calls the same tool, and policy would decide something else.
	Decided = "decided"
	// Asked: the agent asks for something else, or for nothing more. The lane is not replayed further.
	Asked = "asked"
	// Said: asked again, the model decides something else.
	Said = "said"
	// Unrecorded: the model has called a tool of which there is no recorded result, so that the replay cannot go on.
	Unrecorded = "unrecorded"
	// Ended: the run ends in another way.
	Ended = "ended"
)

// Difference is one place where the replay is not the record. Its texts may be anybody's: show them with [spec.Visible].
type Difference struct {
	// Exchange is that of the record, one more than the last at its end.
	Exchange int       `json:"exchange"`
	Lane     spec.Lane `json:"lane,omitempty"`
	Kind     string    `json:"kind"`
	// Text is one sentence.
	Text string `json:"text"`
	// Was and Is are the two sides where they are short, and Diffs where they are not.
	Was   string `json:"was,omitempty"`
	Is    string `json:"is,omitempty"`
	Diffs []Diff `json:"diffs,omitempty"`
}

// Diff is how one text changes, as hunks of a unified diff.
type Diff struct {
	What string `json:"what"`
	Text string `json:"text"`
}

// maxTries bounds how often a process that ends is started again.
const maxTries = 16

// Run replays a run. An error means that it could not be replayed at all.
func Run(ctx context.Context, o Options) (*Report, error) {
	task := o.Recording.Task()
	fail := func(err error) (*Report, error) { return nil, fmt.Errorf("replay run %s: %w", task.Run, err) }
	is := o.Is
	if is == nil {
		is = o.Was
	}
	if is == nil {
		return fail(errors.New("nothing is declared that it could be replayed against"))
	}
	agent := is.Fleet.Agents[task.Agent]
	if agent == nil {
		return fail(fmt.Errorf("%s declares no agent %q", is.Name, task.Agent))
	}
	task.Parent = nil // Its limits are its own: those above it were met when it was recorded.
	p := newPlayer(o, is, agent)
	engine := run.New(run.Options{
		Log: run.NewMemory(task), Agents: p, Broker: p, Proposals: noProposals{}, Now: o.Now, After: o.After,
		Backoff: func(int) time.Duration { return 0 },
	})
	var sum spec.RunSummary
	for range maxTries {
		var err error
		sum, err = engine.Execute(ctx, task.Run)
		var again *run.RetryAfter
		if err == nil {
			return p.report(sum), nil
		}
		if p.failed != nil {
			return fail(p.failed)
		}
		if !errors.As(err, &again) || ctx.Err() != nil {
			return fail(err)
		}
	}
	return fail(fmt.Errorf("the agent's process does not stay up: %s", sum.Phase))
}
