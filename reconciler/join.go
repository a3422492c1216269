package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge"
	"github.com/mainstay-dev/mainstay/reconciler/models"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/spec"
)

// join makes the stages that need to know what is declared, and gives each the others' answers through small adapters.
func (r *Reconciler) join() {
	r.proposals = r.parts.Proposals(ProposalNeeds{Ledger: r.ledger, FleetAt: r.fleetAtCommit})
	r.keeper = models.New(models.Options{Models: r.parts.Models, Memory: madeModels{r.parts.Store, r.parts.Models}, Now: r.opts.Now,
		Used: r.usedFleets, Changed: r.modelChanged, Pruned: r.modelPruned})
	sources := r.parts.Knowledge
	sources.Now, sources.Changed = r.opts.Now, r.knowledgeChanged
	if !r.opts.Travels { // Else the runs of this process are gone with it, and others may know of more.
		sources.Own = true
		sources.Past = func(context.Context) (knowledge.Past, func(), error) { return r.parts.Store, func() {}, nil }
	}
	sources = r.hidden(sources)
	r.knowledge = knowledge.New(sources)
	r.broker = broker.New(broker.Options{
		Models: r.parts.Models, Chat: r.keeper.Chat, Tools: r.parts.Tools, Lock: r.lock, Policies: r.policies, Begun: r.begun, Describe: r.describe, Files: r.files,
		Spent: r.parts.Store.Spent,
		Suspended: func(server string) string {
			return r.suspendedAny(spec.Ref{Kind: spec.KindToolServer, Name: server})
		},
		Knowledge: r.knowledge,
		Root:      r.opts.Path,
		Redactor:  broker.NewRedactor(r.parts.Secrets), Now: r.opts.Now, Random: r.opts.Random,
	})
	r.engine = run.New(run.Options{
		Log: r.parts.Store, Agents: r, Broker: answers{r}, Proposals: proposals{r}, Compact: r.broker.Compact, Children: children{stored{r.parts.Store}, r}, Now: r.opts.Now, After: r.opts.After,
		Observe: r.observeRun,
	})
	r.queue = run.NewQueue(run.QueueOptions{Engine: r.engine, Dequeue: r.dequeue, Agent: r.agentOf, Workers: r.opts.Workers, Failed: r.warn})
	r.allowances = &execute.Allowances{History: r.parts.Remote, Branch: r.opts.Branch, Path: r.opts.Path}
	declared := &execute.Declarations{History: r.parts.Remote, Path: r.opts.Path, Jsonnet: r.opts.Jsonnet, Env: r.opts.Env}
	r.executor = execute.New(execute.Options{
		Remote: r.parts.Remote, Ledger: r.ledger, Signer: r.parts.Signer, Branch: r.opts.Branch, Path: r.opts.Path,
		Name: r.opts.Name, FleetAt: r.fleetAtCommit, DeclaredAt: declared.At, Tools: toolCaller{r}, Now: r.opts.Now, After: r.opts.After,
		Random: r.opts.Random, Barrier: r.opts.Barrier, Pinned: r.pinned, Suspended: r.suspendedWork, Limits: limitsOf,
	})
}

// dequeue shows the store's leases to package run. The runs of an agent that is suspended stay in the queue.
func (r *Reconciler) dequeue(ctx context.Context) (run.Lease, error) {
	for {
		lease, err := r.parts.Store.Dequeue(ctx)
		if err != nil {
			return nil, err
		}
		if back, err := r.giveBack(ctx, lease); !back {
			return lease, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// agentOf tells whose run it is, or "" where nobody knows.
func (r *Reconciler) agentOf(ctx context.Context, id spec.RunID) spec.AgentName {
	summary, err := r.parts.Store.GetRun(ctx, id)
	if err != nil {
		return "" // Only its turn depends on it, and whoever works on the run finds the error.
	}
	return summary.Agent
}

// observeRun tells what happens in runs.
func (r *Reconciler) observeRun(e run.Event) {
	told := Event{Task: e.Task, Run: e.Task.Run, N: e.N, Request: e.Request, Answer: e.Answer, Proposal: e.Proposal,
		Child: e.Child, Outcome: e.Outcome, Text: e.Text, Err: e.Err}
	switch e.Type {
	case run.Started:
		told.Type, told.Text = RunStarted, fmt.Sprintf("process %d, isolation %s", e.PID, e.Isolation)
	case run.Asked:
		told.Type = Asked
	case run.Answered:
		told.Type = Answered
		r.stopRetrying(e.Task.Run)
	case run.Delta:
		told.Type = Delta
	case run.Proposed:
		told.Type = Proposed
	case run.Delegated:
		told.Type = Delegated
	case run.Waiting:
		told.Type = RunWaiting
		r.stopRetrying(e.Task.Run)
	case run.Retrying:
		told.Type, told.Text = RunRetrying, e.Delay.String()
		r.mu.Lock()
		r.retries[e.Task.Run]++
		r.retrying[e.Task.Run] = e.Err
		r.mu.Unlock()
	case run.Finished:
		told.Type = RunFinished
		r.stopRetrying(e.Task.Run)
		r.mu.Lock()
		r.finished[e.Task.Run] = true
		r.mu.Unlock()
	}
	r.tell(told)
	if e.Type == run.Waiting || e.Type == run.Finished {
		r.knowledge.RunsChanged()
		r.Look()
	}
}

// maxTries is how often a command that is to end tries a run that makes no progress, as while its model cannot be reached.
const maxTries = 3

// stopRetrying forgets the failures of a run that has made progress.
func (r *Reconciler) stopRetrying(id spec.RunID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.retries, id)
	delete(r.retrying, id)
}

// Stuck returns why a run makes no progress, once it was tried often enough.
func (r *Reconciler) Stuck(id spec.RunID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retries[id] < maxTries {
		return nil
	}
	return r.retrying[id]
}

// lock is the newest, like the policies.
func (r *Reconciler) lock() (*spec.Lock, bool) {
	fleet := r.current()
	if fleet == nil {
		return nil, false
	}
	return fleet.Lock, true
}

// policies are always the newest, whatever revision a run is pinned to.
func (r *Reconciler) policies() ([]*spec.Policy, error) {
	fleet := r.current()
	if fleet == nil {
		return nil, errors.New("no good revision is known, so no policy is")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policiesNow, nil
}

// Agent returns the agent of a task as the task's revision declares it. An agent that is no longer declared at all does
// not go on working.
func (r *Reconciler) Agent(ctx context.Context, task spec.Task) (*spec.Agent, error) {
	fleet := r.current()
	if fleet == nil {
		return nil, errors.New("no good revision is known")
	}
	if fleet.Agents[task.Agent] == nil {
		return nil, fmt.Errorf("%w any more", run.ErrNoAgent)
	}
	pinned, err := r.fleetAt(ctx, task.Revision)
	if err != nil {
		return nil, err
	}
	agent, ok := pinned.Agents[task.Agent]
	if !ok {
		return nil, fmt.Errorf("%w there", run.ErrNoAgent)
	}
	return agent, nil
}

// Open opens a stream for a run on the process of its agent.
func (r *Reconciler) Open(ctx context.Context, task spec.Task, agent *spec.Agent) (run.Session, error) {
	tools, err := r.broker.ToolList(ctx, task.Revision, agent)
	if err != nil {
		return nil, err
	}
	return OpenSession(ctx, r.parts.Host, task, agent, tools)
}

// OpenSession opens a stream for a run on the process of its agent, which is told of these tools.
func OpenSession(ctx context.Context, agents *host.Host, task spec.Task, agent *spec.Agent, tools []broker.Tool) (run.Session, error) {
	start := host.Start{Run: task.Run, Task: task.Text, Images: task.Images, History: task.History, Limits: agent.Limits}
	for _, t := range tools {
		start.Tools = append(start.Tools, host.Tool{Name: t.Name, Description: t.Description, InputSchema: t.InputSchema})
	}
	if check := agent.CheckOf(task); check != nil {
		start.Check, start.OutputSchema = true, check.Schema
	}
	for _, s := range agent.Skills {
		start.Skills = append(start.Skills, host.Skill{Name: s.Name, Description: s.Description})
	}
	s, err := agents.Open(ctx, task.Agent, start)
	if errors.Is(err, host.ErrNoImages) {
		return nil, fmt.Errorf("%w: %w", run.ErrUnfit, err)
	}
	if err != nil {
		return nil, err
	}
	return session{s}, nil
}

// session shows a host's session as the one package run works with.
type session struct{ *host.Session }

func (s session) Recv() (run.Message, error) {
	m, err := s.Session.Recv()
	told := run.Message{ID: m.ID, Request: m.Request, Stream: m.Stream}
	if m.Result != nil {
		told.Result = &m.Result.Output
	}
	if m.Failure != nil {
		told.Failure = &m.Failure.Message
	}
	return told, err
}

// answers shows the broker to package run.
type answers struct{ r *Reconciler }

func (a answers) Answer(ctx context.Context, c run.Call, delta func(string)) (run.Reply, error) {
	if why := a.r.suspendedAgent(c.Task.Agent); why != "" {
		return run.Reply{}, &broker.Unavailable{What: "agent " + string(c.Task.Agent), Err: errors.New(why)} // Its run waits.
	}
	expires := 72 * time.Hour
	if fleet := a.r.current(); fleet != nil {
		expires = fleet.Expires
	}
	after, err := a.r.before(ctx, c)
	if err != nil {
		return run.Reply{}, err
	}
	reply, err := a.r.broker.Answer(ctx, broker.Call{Task: c.Task, Agent: c.Agent, N: c.N, At: c.At, Request: c.Request, Expires: expires, Restarted: c.Restarted, After: after, Turn: c.Turn, Spent: c.Spent, Images: c.Images, Sources: c.Sources}, delta)
	return run.Reply(reply), err
}

// orderTime is the time between two looks for what became of an ordered agent's earlier call.
const orderTime = 20 * time.Millisecond

// before is the Action that comes before what an ordered agent asks for now. Calls that are made at once are served side by
// side, so it waits until those before have become proposals, or were refused.
func (r *Reconciler) before(ctx context.Context, c run.Call) (spec.ActionID, error) {
	if !c.Agent.Ordered || c.Request.Kind != spec.RequestTool {
		return "", nil
	}
	for {
		entries, _, err := r.parts.Store.Record(ctx, c.Task.Run)
		if err != nil {
			return "", err
		}
		if id, known := broker.Before(entries, c.Agent, c.N); known {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-r.opts.After(orderTime):
		}
	}
}

func (a answers) Escalate(_ context.Context, c run.Call, outcome spec.Outcome) (run.Reply, error) {
	reply, err := a.r.broker.Escalate(broker.Call{Task: c.Task, Agent: c.Agent, N: c.N, At: c.At, Request: c.Request}, outcome)
	return run.Reply(reply), err
}

// proposals shows the driver to package run. A person's earlier no is the answer that the agent gets, and so are a branch
// that a person has taken over and a proposal that can never be opened: to try it again would never end. A call that needs no
// review is opened nowhere, but executed.
type proposals struct{ r *Reconciler }

func (p proposals) Open(ctx context.Context, proposed spec.Proposal) (*spec.Answer, error) {
	if proposed.Kind == spec.ProposalDirect {
		return p.r.executeDirect(ctx, proposed)
	}
	err := p.r.proposals.Open(ctx, proposed)
	var rejected *proposal.RejectedError
	if errors.As(err, &rejected) {
		answer, err := p.r.decided(proposed, spec.ProposalDecision{State: spec.ProposalRejected, Reason: rejected.Error()})
		return &answer, err
	}
	var edited *proposal.EditedError
	if errors.As(err, &edited) {
		answer, err := p.r.decided(proposed, spec.ProposalDecision{State: "refused", Reason: edited.Error()})
		return &answer, err
	}
	var invalid *proposal.InvalidError
	if errors.As(err, &invalid) {
		answer, err := p.r.decided(proposed, spec.ProposalDecision{State: "refused", Reason: invalid.Error()})
		return &answer, err
	}
	return nil, err
}
