package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

const doDirect = "no rule that counts let this call through: find out what it did and who holds the key that has signed it, and replace that key in mainstay.yaml"

// allowing is what is known of a revision by which calls were let through.
type allowing struct {
	refused  string      // why nothing counts there, or ""
	trusted  *spec.Fleet // who counted then
	declared []counting
}

// counting is what a revision declares in an environment, with the rules that count.
type counting struct {
	execute.Declared
	policies []*spec.Policy
	unsigned map[spec.Ref]error
}

// directClaim checks that a rule which counted let the claimed call through, and returns the call. Where it was only claimed,
// and nothing was executed, the rules may have changed meanwhile. That the entry's digest is the call's is a rule of the ledger.
func (b *branch) directClaim(c *chain, e execute.Entry, executed bool) (*version, error) {
	call, who := e.Ledger.Direct, claimant(e)
	action, err := execute.NewDirect(c.ID, call)
	if err != nil {
		c.wrong(doDirect, "%s claimed what is no call: %v", who, err)
		return nil, nil
	}
	v := &version{digest: action.Digest, action: action}
	c.Rule = &Rule{Name: call.Rule, Revision: call.Revision}
	why, err := b.letThrough(c.Rule, action, call)
	if err != nil {
		return nil, err
	}
	if why != "" && executed {
		c.wrong(doDirect, "%s claimed it by the rule %s at %s, which did not let it through: %s", who, call.Rule, call.Revision.Short(), why)
	}
	return v, nil
}

// letThrough returns why a rule did not let a call through, or "", and then says in rule who has signed it.
func (b *branch) letThrough(rule *Rule, action *spec.Action, call *spec.DirectCall) (why string, err error) {
	at, err := b.allowingAt(call.Revision)
	if err != nil || at.refused != "" {
		return at.refused, err
	}
	for _, d := range at.declared {
		if why = d.letsThrough(action, call.Rule); why != "" {
			continue
		}
		file, name, _ := strings.Cut(call.Rule, "#")
		for _, p := range d.Fleet.Policies {
			named := func(r spec.Rule) bool { return r.Name == name }
			if p.Place.File != file || d.unsigned[p.Ref] != nil || !slices.ContainsFunc(p.Rules, named) {
				continue
			}
			commit, signer, err := b.allowed.Signed(d.Declared, p, at.trusted)
			if err != nil {
				return "", err
			}
			key := newKey(signer)
			rule.Commit, rule.Signer = commit.ID, &key
		}
		return "", nil
	}
	return why, nil
}

// letsThrough decides about a call once more, as the executor does.
func (d counting) letsThrough(action *spec.Action, rule string) string {
	a := action.Spec
	server := d.Fleet.Servers[a.Server]
	if server == nil || server.Spec.Tools[a.Tool].Effect != spec.EffectWrite {
		return fmt.Sprintf("%s has no write tool %s", spec.Ref{Kind: spec.KindToolServer, Name: a.Server}, a.Tool)
	}
	decided := execute.Decide(execute.Work{Action: action, Fleet: d.Fleet, Policies: d.policies})
	if decided.Decision == spec.DecisionAllow && decided.Rule == rule {
		return ""
	}
	file, _, _ := strings.Cut(rule, "#")
	for _, p := range d.Fleet.Policies {
		if why := d.unsigned[p.Ref]; why != nil && p.Place.File == file {
			return why.Error()
		}
	}
	return fmt.Sprintf("what was decided there is %s, by %s", decided.Decision, decided.Rule)
}

// allowingAt finds out what counts at a revision, each once.
func (b *branch) allowingAt(revision spec.Revision) (*allowing, error) {
	if known := b.direct[revision]; known != nil {
		return known, nil
	}
	at := &allowing{}
	b.direct[revision] = at
	n := slices.Index(b.ids, revision.Commit())
	if n < 0 || revision != spec.NewRevision(b.o.Branch, revision.Commit()) {
		at.refused = fmt.Sprintf("the revision is not on %s", b.o.Branch)
		return at, nil
	}
	for _, c := range b.counted {
		if c.n > len(b.ids)-1-n {
			break
		}
		at.trusted = c.fleet
	}
	declared, err := b.declared.At(revision.Commit())
	if err != nil {
		return nil, err
	}
	if len(declared) == 0 {
		at.refused = "the revision is broken, and never ran"
	}
	for _, d := range declared {
		next := counting{Declared: d}
		next.policies, next.unsigned = b.allowed.Policies(d, at.trusted)
		for _, err := range next.unsigned {
			if errors.Is(err, remote.ErrMissing) {
				return nil, err
			}
		}
		at.declared = append(at.declared, next)
	}
	return at, nil
}
