package reconciler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/spec"
)

// observed tells package plan what runs and what is settled.
func (r *Reconciler) observed() plan.Observed {
	o := plan.Observed{Agents: map[spec.AgentName]spec.Digest{}, Settled: r.settledActions()}
	for name, s := range r.parts.Host.Agents() {
		o.Agents[name] = s.Digest
	}
	return o
}

// apply makes what is declared run. Steps on agents are applied side by side within each verb, so that agents stop before
// others start; executions go on in the background, since a tool may take an hour. A step that fails does not stop the
// others: it is a step again in the next pass.
func (r *Reconciler) apply(ctx context.Context) {
	r.mu.Lock()
	fleet, revision := r.fleet, r.applied
	r.mu.Unlock()
	if fleet == nil {
		return
	}
	steps := plan.Diff(r.observed(), fleet)
	r.mu.Lock()
	news := revision != r.planned
	r.planned = revision
	r.mu.Unlock()
	if news {
		r.tell(Event{Type: Planned, Revision: revision, Steps: steps})
	}
	for _, verb := range []plan.Verb{plan.Stop, plan.Replace, plan.Start} {
		var wg sync.WaitGroup
		for _, step := range steps {
			if step.Verb == verb {
				wg.Go(func() { r.applyAgent(ctx, fleet, step) })
			}
		}
		wg.Wait()
	}
	for _, step := range steps {
		if step.Verb == plan.Execute {
			r.startAction(ctx, fleet.Actions[spec.ActionID(step.Ref.Name)], step)
		}
	}
}

func (r *Reconciler) applyAgent(ctx context.Context, fleet *spec.Fleet, step plan.Step) {
	name := spec.AgentName(step.Ref.Name)
	var err error
	if agent, ok := fleet.Agents[name]; !ok {
		err = r.parts.Host.Stop(ctx, name)
	} else {
		err = r.startHosted(ctx, agent)
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	old := r.agentErrs[name]
	r.agentErrs[name] = err
	r.mu.Unlock()
	if err != nil {
		if old == nil || old.Error() != err.Error() { // It is tried in every pass, and told once.
			r.tell(Event{Type: StepFailed, Step: step, Err: err})
		}
		return
	}
	text := "stopped"
	if step.Verb != plan.Stop {
		text = "runs get a process, isolation " + r.parts.Host.Agents()[name].Isolation
	}
	r.tell(Event{Type: StepDone, Step: step, Text: text})
}

// startHosted makes an agent one that runs can be opened on. What cannot work replaces nothing that does.
func (r *Reconciler) startHosted(ctx context.Context, agent *spec.Agent) error {
	hosted, err := host.AgentOf(agent)
	if err != nil {
		return err
	}
	if err := r.parts.Host.Check(ctx, hosted); err != nil {
		return err
	}
	return r.parts.Host.Start(hosted)
}

// serverIdle is how long a tool server that nobody calls keeps its process.
const serverIdle = 10 * time.Minute

// checkServers asks every tool server that is new, failed before, or was refused in a run for its tools, looks at the
// secrets of the others, and remembers what is wrong.
func (r *Reconciler) checkServers(ctx context.Context) {
	r.parts.Tools.StopIdle(r.opts.Now().Add(-serverIdle))
	fleet := r.current()
	if fleet == nil {
		return
	}
	var wg sync.WaitGroup
	for _, server := range fleet.Servers {
		r.mu.Lock()
		err, checked := r.serverErrs[server.Digest]
		r.mu.Unlock()
		if checked && err == nil && r.parts.Tools.Refused(server) == nil {
			wg.Go(func() { r.checkSecrets(ctx, server) })
			continue
		}
		wg.Go(func() {
			err := r.broker.Redactor().Error(r.checkServer(ctx, server))
			if ctx.Err() != nil {
				return
			}
			r.mu.Lock()
			r.serverErrs[server.Digest] = err
			r.mu.Unlock()
			r.tellMismatch(server.Ref, err)
		})
	}
	wg.Wait()
}

// checkSecrets remembers which secrets of a tool server cannot be read any more. One that runs goes on; one that does not
// will not start.
func (r *Reconciler) checkSecrets(ctx context.Context, server *spec.ToolServer) {
	runs, err := r.parts.Tools.CheckSecrets(ctx, server)
	err = r.broker.Redactor().Error(err)
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	delete(r.secretErrs, server.Ref)
	switch {
	case err != nil && runs:
		err = fmt.Errorf("the server goes on with what it was started with: %w", err)
		r.secretErrs[server.Ref] = err
	case err != nil:
		r.serverErrs[server.Digest] = err
	}
	r.mu.Unlock()
	r.tellChange("secrets of "+server.Ref.String(), err, Warned)
}

func (r *Reconciler) checkServer(ctx context.Context, server *spec.ToolServer) error {
	schemas, err := r.parts.Tools.Schemas(ctx, server)
	if err != nil {
		return err
	}
	var missing []error
	for name, tool := range server.Spec.Tools {
		if _, ok := schemas[name]; !ok && tool.Effect != spec.EffectDenied {
			missing = append(missing, fmt.Errorf("%s declares tool %q, which the server does not have", server.Place.File, name))
		}
	}
	return errors.Join(missing...)
}
