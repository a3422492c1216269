package spec

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The bounds of how long an Action may wait.
const (
	defaultExpires = 72 * time.Hour
	maxExpires     = 720 * time.Hour
)

// resolve makes the trusted form of all that was written. It is of use only where no error was found.
func (l *loader) resolve() *Fleet {
	f := &Fleet{Expires: defaultExpires, Agents: map[AgentName]*Agent{}, Actions: map[ActionID]*Action{}, Skills: l.skills}
	defaults := Defaults{}
	if len(l.fleet) > 0 {
		e := l.fleet[0]
		f.Resource = l.resource(e.document)
		defaults = e.written.Defaults
		l.fleetSpec(f, e)
	} else if !slices.ContainsFunc(l.problems, func(p Problem) bool { return p.File == rootFile }) {
		l.errorAt(Place{File: rootFile}, "add a resource of kind: Fleet", "the file declares no Fleet")
	}
	personas, prompts := l.resolvePersonas(), l.checkPrompts()
	f.Models, f.Servers = l.resolveModels(), l.resolveServers()
	f.Policies = l.resolvePolicies()
	l.resolveAgents(f, personas, defaults)
	f.Triggers = l.resolveTriggers()
	l.resolveActions(f)

	var all []Resource
	for _, p := range personas {
		all = append(all, p.Resource)
	}
	for _, p := range prompts {
		all = append(all, *p)
	}
	for _, m := range f.Models {
		all = append(all, m.Resource)
	}
	for _, s := range f.Servers {
		all = append(all, s.Resource)
	}
	for _, s := range f.Skills {
		all = append(all, s.Resource)
	}
	for _, p := range f.Policies {
		all = append(all, p.Resource)
	}
	for _, t := range f.Triggers {
		all = append(all, t.Resource)
	}
	for _, a := range f.Agents {
		all = append(all, a.Resource)
	}
	for _, a := range f.Actions {
		all = append(all, a.Resource)
	}
	slices.SortFunc(all, func(a, b Resource) int { return compareRefs(a.Ref, b.Ref) })
	f.Digest = l.fleetDigest(f, all)
	f.Resources = append([]Resource{f.Resource}, all...)
	f.documents = make(map[Ref]*document, len(l.documents))
	for _, d := range l.documents {
		f.documents[d.ref()] = d
	}
	return f
}

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// resource is what every resource has in common. Its digest is set once it is resolved.
func (l *loader) resource(d *document) Resource {
	return Resource{Ref: d.ref(), Place: d.top.place()}
}

func (l *loader) digest(p Place, v any) Digest {
	d, err := canonicalDigest(v)
	if err != nil {
		l.errorAt(p, "", "%s", err)
	}
	return d
}

// fleetDigest is over everything that the revision declares.
func (l *loader) fleetDigest(f *Fleet, all []Resource) Digest {
	content := struct {
		Name         string
		Defaults     Defaults
		Approvers    []string
		Ledger       []string
		Expires      time.Duration
		Digests      map[string]Digest
		Descriptions map[AgentName]string
	}{Name: f.Name, Expires: f.Expires, Digests: map[string]Digest{}, Descriptions: map[AgentName]string{}}
	if len(l.fleet) > 0 {
		content.Defaults = l.fleet[0].written.Defaults
	}
	for _, key := range f.Approvers {
		content.Approvers = append(content.Approvers, key.Name+" "+key.Fingerprint())
	}
	if f.Ledger != nil {
		content.Ledger = []string{f.Ledger.Genesis}
		for _, key := range f.Ledger.Signers {
			content.Ledger = append(content.Ledger, key.Name+" "+key.Fingerprint())
		}
	}
	for _, r := range all {
		content.Digests[r.String()] = r.Digest
	}
	for name, a := range f.Agents {
		content.Descriptions[name] = a.Description
	}
	return l.digest(f.Place, content)
}

// fleetSpec checks the Fleet's own spec.
func (l *loader) fleetSpec(f *Fleet, e *entry[FleetSpec]) {
	w, n := e.written, e.spec
	defaults := n.at("defaults")
	if w.Defaults.Model != "" && !l.alone {
		known(l, defaults.at("model"), KindModel, w.Defaults.Model, l.models)
	}
	if w.Defaults.Runtime != "" {
		if err := CheckName(w.Defaults.Runtime); err != nil {
			l.error(defaults.at("runtime"), "", "the runtime %s", err)
		}
	}
	l.checkLimits(defaults.get("limits"), w.Defaults.Limits)
	f.Approvers = l.signers(e, n.get("approvers"), w.Approvers)
	if w.Ledger != nil {
		ledger := n.at("ledger")
		f.Ledger = &Ledger{Genesis: w.Ledger.Genesis, Signers: l.signers(e, ledger.get("signers"), w.Ledger.Signers)}
		if !commitRE.MatchString(w.Ledger.Genesis) {
			l.missing(e.document, ledger.at("genesis"), "write the 40 hexadecimal characters that `mainstay ledger init` prints", "%q is not the id of the ledger's first commit", w.Ledger.Genesis)
		}
		if len(w.Ledger.Signers) == 0 {
			l.missing(e.document, ledger.at("signers"), "list the keys of the reconcilers", "the ledger has no signers, so no entry of it would count")
		}
		l.sharedKeys(f, n.get("approvers"))
	}
	if n.at("proposals").has("expires") && w.Proposals.Expires != 0 {
		f.Expires = time.Duration(w.Proposals.Expires)
		if f.Expires < time.Minute || f.Expires > maxExpires {
			l.error(n.at("proposals", "expires"), "", `"expires" is %s, and not between 1m and 720h`, w.Proposals.Expires)
		}
	}
}

// signers reads a list of keys.
func (l *loader) signers(e *entry[FleetSpec], n *node, signers []Signer) []Key {
	var keys []Key
	for i, s := range signers {
		at := n.at(i)
		if strings.TrimSpace(s.Name) == "" || strings.ContainsAny(s.Name, "\n\r\t") {
			l.missing(e.document, at.at("name"), "write name: WHO, in one line", "the key has no name")
		}
		if s.Key == "" {
			l.missing(e.document, at, "write key: and the line of the .pub file", "%q has no key", s.Name)
			continue
		}
		key, err := ParseKey(s.Name, s.Key)
		if err != nil {
			summary, hint, _ := strings.Cut(err.Error(), ": ")
			l.error(at.at("key"), hint, "%s", summary)
			continue
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Same(key.SSH) }) {
			l.error(at.at("key"), "keep one of them", "the key of %q is listed twice", s.Name)
		}
		keys = append(keys, key)
	}
	return keys
}

// sharedKeys warns of approvers whose key is a reconciler's: it could approve what it proposes.
func (l *loader) sharedKeys(f *Fleet, n *node) {
	for i, approver := range f.Approvers {
		if slices.ContainsFunc(f.Ledger.Signers, func(k Key) bool { return k.Same(approver.SSH) }) {
			l.warn(n.at(i, "key"), "give the reconciler a key of its own", "the key of approver %q also signs the ledger, so the reconciler could approve what it proposes", approver.Name)
		}
	}
}
