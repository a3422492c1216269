package reconciler

import (
	"context"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// signedPolicies returns the policies of a revision without the rules that allow and do not count, and why they do not.
func (r *Reconciler) signedPolicies(revision spec.Revision, fleet *spec.Fleet) ([]*spec.Policy, map[spec.Ref]error) {
	r.mu.Lock()
	trusted := r.trusted
	r.mu.Unlock()
	declared := execute.Declared{Commit: revision.Commit(), Env: r.opts.Env, Fleet: fleet, Plain: func() (*spec.Fleet, error) {
		seen, err := r.parts.Source.At(context.Background(), revision)
		if err != nil {
			return nil, err
		}
		plain, problems := spec.Load(seen.Tree, spec.LoadOptions{Jsonnet: r.opts.Jsonnet, Cache: &r.older})
		if problems.HasErrors() {
			return nil, problems.Err()
		}
		return plain, nil
	}}
	policies, unsigned := r.allowances.Policies(declared, trusted)
	for _, p := range fleet.Policies {
		r.tellChange("policy "+p.Name, unsigned[p.Ref], Warned)
	}
	return policies, unsigned
}
