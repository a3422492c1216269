package reconciler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Whoever may push to the branch can write a policy. A rule that lets calls be made without a review is an approval of all of
// them, so it counts where an approver has signed the commit, or the merge, that brought the policy's file to the branch as it
// is. Rules that tighten count always.

// signedPolicies returns the policies of a revision without the rules that allow and do not count, and why they do not.
func (r *Reconciler) signedPolicies(revision spec.Revision, fleet *spec.Fleet) ([]*spec.Policy, map[spec.Ref]error) {
	allows := func(rule spec.Rule) bool { return rule.Decision == spec.DecisionAllow }
	policies, unsigned := fleet.Policies, map[spec.Ref]error{}
	for i, p := range policies {
		if !slices.ContainsFunc(p.Rules, allows) {
			continue
		}
		err := r.signedPolicy(revision, p)
		if err == nil {
			continue
		}
		unsigned[p.Ref] = fmt.Errorf("its rules that allow do not count: %w", err)
		if len(unsigned) == 1 {
			policies = slices.Clone(policies)
		}
		strict := *p
		strict.Rules = slices.DeleteFunc(slices.Clone(p.Rules), allows)
		policies[i] = &strict
	}
	for _, p := range fleet.Policies {
		r.tellChange("policy "+p.Name, unsigned[p.Ref], Warned)
	}
	return policies, unsigned
}

// signedPolicy returns why a policy's rules that allow do not count, or nil.
func (r *Reconciler) signedPolicy(revision spec.Revision, p *spec.Policy) error {
	if path.Ext(p.Place.File) == ".jsonnet" {
		return fmt.Errorf("%s is a program, which is more than the one file that an approver signs: write them in YAML", p.Place.File)
	}
	r.mu.Lock()
	trusted := r.trusted
	r.mu.Unlock()
	if trusted == nil || trusted.Ledger == nil {
		return errors.New("mainstay.yaml pins no ledger: run `mainstay ledger init`, and add what it prints")
	}
	if err := r.sameWithoutOverlay(revision, p); err != nil {
		return err
	}
	approvers := slices.DeleteFunc(slices.Clone(trusted.Approvers), func(k spec.Key) bool {
		return slices.ContainsFunc(trusted.Ledger.Signers, func(s spec.Key) bool { return s.Same(k) })
	})
	c, err := r.broughtIn(revision.Commit(), path.Join(r.opts.Path, p.Place.File))
	if err != nil {
		return fmt.Errorf("find out who wrote %s: %w", p.Place.File, err)
	}
	if _, err := remote.VerifyCommit(c, approvers); err != nil {
		return fmt.Errorf("commit %.7s by %s brought %s to %s as it is, and no approver has signed it (%w): have an approver make the change in a signed commit (git commit -S)",
			c.ID, c.Author, p.Place.File, r.opts.Branch, err)
	}
	return nil
}

// sameWithoutOverlay returns an error where the overlay of the environment changes a policy: who signed its file has not
// seen that.
func (r *Reconciler) sameWithoutOverlay(revision spec.Revision, p *spec.Policy) error {
	if r.opts.Env == "" {
		return nil
	}
	changed := fmt.Errorf("overlays/%s changes it, which is more than the one file that an approver signs: take it out of the overlay", r.opts.Env)
	if strings.HasPrefix(p.Place.File, "overlays/") {
		return changed
	}
	seen, err := r.parts.Source.At(context.Background(), revision)
	if err != nil {
		return err
	}
	fleet, problems := spec.Load(seen.Tree, spec.LoadOptions{Jsonnet: r.opts.Jsonnet, Cache: &r.older})
	if problems.HasErrors() {
		return fmt.Errorf("without the overlay %s the revision is broken, so that it is not known what that changes: %w", r.opts.Env, problems.Err())
	}
	for _, plain := range fleet.Policies {
		if plain.Name == p.Name && plain.Digest == p.Digest {
			return nil
		}
	}
	return changed
}

// broughtIn returns the commit that made a file what it is at a commit of the branch.
func (r *Reconciler) broughtIn(at, file string) (remote.Commit, error) {
	is, err := r.object(at, file)
	if err != nil {
		return remote.Commit{}, err
	}
	if is == "" {
		return remote.Commit{}, fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	n := 0
	for c, err := range r.parts.Remote.FirstParents(at) {
		if err != nil {
			return remote.Commit{}, err
		}
		if n++; n > maxTrustWalk {
			break
		}
		if len(c.Parents) == 0 {
			return c, nil
		}
		if before, err := r.object(c.Parents[0], file); err != nil || before != is {
			return c, err
		}
	}
	return remote.Commit{}, fmt.Errorf("it is more than %d commits old", maxTrustWalk)
}
