package reconciler

import (
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// limitsOf are the limits that the newest policies set on the call of an Action.
func limitsOf(w execute.Work) ([]execute.Limit, error) {
	a := w.Action.Spec
	found, err := policy.Limits(policy.Call{Agent: string(a.Evidence.Agent), Server: a.Server, Tool: a.Tool, Effect: spec.EffectWrite, Arguments: a.Arguments, Sources: a.Evidence.Sources}, w.Fleet.Policies)
	if err != nil {
		return nil, err
	}
	var limits []execute.Limit
	for _, l := range found {
		limits = append(limits, execute.Limit{Name: l.Rule, Calls: l.Calls, Per: time.Duration(l.Per), Reason: l.Reason})
	}
	return limits, nil
}
