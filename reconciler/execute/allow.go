package execute

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// Allowances finds out which of the policy rules that let calls be made without a review count. Whoever may push to the branch
// can write a policy, and such a rule is an approval of all those calls. So it counts where an approver has signed the commit,
// or the merge, that brought the policy's file to the branch as it is. Rules that tighten count always.
//
// The reconciler asks it before it does anything and an auditor afterwards. It is safe for concurrent use. It remembers which
// commit brought a file in, so that to ask about one commit after the other walks the branch once.
type Allowances struct {
	History History
	// Branch is the branch's name, for people. Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Branch, Path string

	mu      sync.Mutex
	brought map[string]brought // by file
}

// brought is what was found out about a file as it is at a commit.
type brought struct {
	at, object string
	by         remote.Commit
}

// Declared is what a commit declares.
type Declared struct {
	Commit string
	// Env is the environment whose overlay is applied; "" is none.
	Env   string
	Fleet *spec.Fleet
	// Plain returns what the commit declares without the overlay. It is only asked where there is one.
	Plain func() (*spec.Fleet, error)
}

func allows(rule spec.Rule) bool { return rule.Decision == spec.DecisionAllow }

// Policies returns what is declared without the rules that allow and do not count, and why they do not, for each policy that
// has such. Trusted lists the approvers and the ledger that count.
func (a *Allowances) Policies(d Declared, trusted *spec.Fleet) ([]*spec.Policy, map[spec.Ref]error) {
	policies, unsigned := d.Fleet.Policies, map[spec.Ref]error{}
	for i, p := range policies {
		if !slices.ContainsFunc(p.Rules, allows) {
			continue
		}
		_, _, err := a.Signed(d, p, trusted)
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
	return policies, unsigned
}

// Signed returns the commit that brought a policy's file to the branch as it is, and the approver who has signed it. The error
// says why the policy's rules that allow do not count; it wraps [remote.ErrMissing] where a commit could not be read.
func (a *Allowances) Signed(d Declared, p *spec.Policy, trusted *spec.Fleet) (remote.Commit, spec.Key, error) {
	fail := func(err error) (remote.Commit, spec.Key, error) { return remote.Commit{}, spec.Key{}, err }
	if path.Ext(p.Place.File) == ".jsonnet" {
		return fail(fmt.Errorf("%s is a program, which is more than the one file that an approver signs: write them in YAML", p.Place.File))
	}
	if trusted == nil || trusted.Ledger == nil {
		return fail(ErrNoLedger)
	}
	if err := sameWithoutOverlay(d, p); err != nil {
		return fail(err)
	}
	c, err := a.broughtIn(d.Commit, path.Join(a.Path, p.Place.File))
	if err != nil {
		return fail(fmt.Errorf("find out who wrote %s: %w", p.Place.File, err))
	}
	signer, err := remote.VerifyCommit(c, newTrust(trusted).approvers)
	if err != nil {
		return fail(fmt.Errorf("commit %.7s by %s brought %s to %s as it is, and no approver has signed it (%w): have an approver make the change in a signed commit (git commit -S)",
			c.ID, c.Author, p.Place.File, a.Branch, err))
	}
	return c, signer, nil
}

// sameWithoutOverlay returns an error where the overlay of the environment changes a policy: who signed its file has not
// seen that.
func sameWithoutOverlay(d Declared, p *spec.Policy) error {
	if d.Env == "" {
		return nil
	}
	changed := fmt.Errorf("overlays/%s changes it, which is more than the one file that an approver signs: take it out of the overlay", d.Env)
	if strings.HasPrefix(p.Place.File, "overlays/") {
		return changed
	}
	fleet, err := d.Plain()
	if err != nil {
		return fmt.Errorf("without the overlay %s the revision is broken, so that it is not known what that changes: %w", d.Env, err)
	}
	for _, plain := range fleet.Policies {
		if plain.Name == p.Name && plain.Digest == p.Digest {
			return nil
		}
	}
	return changed
}

// broughtIn returns the commit that made a file what it is at a commit of the branch.
func (a *Allowances) broughtIn(at, file string) (remote.Commit, error) {
	is, err := objectAt(a.History, at, file)
	if err != nil {
		return remote.Commit{}, err
	}
	if is == "" {
		return remote.Commit{}, fmt.Errorf("%s: %w", file, fs.ErrNotExist)
	}
	a.mu.Lock()
	known := a.brought[file]
	a.mu.Unlock()
	by, err := a.walk(at, file, is, known)
	if err != nil {
		return remote.Commit{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.brought == nil {
		a.brought = map[string]brought{}
	}
	a.brought[file] = brought{at: at, object: is, by: by}
	return by, nil
}

// walk goes back from a commit while the file is the object, and no further than to what is known.
func (a *Allowances) walk(at, file, object string, known brought) (remote.Commit, error) {
	n := 0
	for c, err := range a.History.FirstParents(at) {
		if err != nil {
			return remote.Commit{}, err
		}
		if c.ID == known.at && known.object == object {
			return known.by, nil
		}
		if n++; n > maxHistory {
			break
		}
		if len(c.Parents) == 0 {
			return c, nil
		}
		if before, err := objectAt(a.History, c.Parents[0], file); err != nil || before != object {
			return c, err
		}
	}
	return remote.Commit{}, fmt.Errorf("it is more than %d commits old", maxHistory)
}
