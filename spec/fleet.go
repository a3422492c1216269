package spec

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of how long an Action may wait.
const (
	defaultExpires = 72 * time.Hour
	maxExpires     = 720 * time.Hour
)

// resolve makes the trusted form of all that was written. It is of use only where no error was found. What others depend on
// comes first.
func (l *loader) resolve() *Fleet {
	f := &Fleet{Expires: defaultExpires, Skills: l.skills}
	l.out, l.others = f, map[Ref]*Resource{}
	defaults, ceilings := Defaults{}, maxLimits
	if len(l.fleet) > 0 {
		e := l.fleet[0]
		f.Resource = l.resource(e.document)
		defaults = e.written.Defaults
		ceilings = l.fleetSpec(f, e)
	} else if !slices.ContainsFunc(l.problems, func(p Problem) bool { return p.File == rootFile }) {
		l.errorAt(Place{File: rootFile}, "add a resource of kind: Fleet", "the file declares no Fleet")
	}
	l.personasOut, l.promptsOut = l.resolvePersonas(), l.resolvePrompts()
	f.Models, f.Servers = l.resolveModels(), l.resolveServers()
	if l.lock != nil {
		f.Lock = l.lock.Lock
		l.checkLock()
	}
	f.Knowledge = l.resolveKnowledge()
	l.checkSources()
	f.Policies = l.resolvePolicies()
	l.deniedTools()
	l.unknownNames()
	l.countShared()
	l.resolveAgents(f, defaults, ceilings)
	l.checkLockedRuntimes()
	l.checkDelegation()
	l.resolveTriggers(f)
	l.checkEvaluations()
	l.checkWorkflows()
	l.resolveActions(f)
	f.Resources = l.resources(f)
	f.Digest = l.fleetDigest(f)
	f.Resources[0] = f.Resource
	f.documents = l.documents
	return f
}

// resources lists every resource: the Fleet, and then all others sorted by kind and name. The agents, of which there may be
// thousands, are sorted already.
func (l *loader) resources(f *Fleet) []Resource {
	var before, after []Resource
	for _, a := range f.Actions {
		before = append(before, a.Resource)
	}
	for _, k := range f.Knowledge {
		after = append(after, k.Resource)
	}
	for _, m := range f.Models {
		after = append(after, m.Resource)
	}
	for _, p := range l.personasOut {
		after = append(after, p.Resource)
	}
	for _, p := range f.Policies {
		after = append(after, p.Resource)
	}
	for _, p := range l.promptsOut {
		after = append(after, p.Resource)
	}
	for _, s := range f.Skills {
		after = append(after, s.Resource)
	}
	for _, s := range f.Servers {
		after = append(after, s.Resource)
	}
	for _, t := range f.Triggers {
		after = append(after, t.Resource)
	}
	for _, r := range l.others {
		after = append(after, *r)
	}
	byRef := func(a, b Resource) int { return compareRefs(a.Ref, b.Ref) }
	slices.SortFunc(before, byRef)
	slices.SortFunc(after, byRef)
	all := make([]Resource, 0, 1+len(before)+len(l.agentList)+len(after))
	all = append(append(all, f.Resource), before...)
	for _, a := range l.agentList {
		all = append(all, a.Resource)
	}
	return append(all, after...)
}

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// resource is what every resource has in common. Its digest is set once it is resolved.
func (l *loader) resource(d *document) Resource {
	return Resource{Ref: d.ref(), Place: d.top.place(), Labels: d.labels, Later: d.later}
}

func (l *loader) digest(p Place, v any) Digest {
	d, err := canonicalDigest(v)
	if err != nil {
		l.errorAt(p, "", "%s", err)
	}
	return d
}

// fleetDigest is over everything that the revision declares.
func (l *loader) fleetDigest(f *Fleet) Digest {
	own := struct {
		Name    string
		Spec    FleetSpec
		Expires time.Duration
	}{Name: f.Name, Expires: f.Expires}
	if len(l.fleet) > 0 {
		own.Spec = l.fleet[0].written
	}
	// One line for each resource, so that a fleet of thousands costs no more than to hash their digests.
	sum := sha256.New()
	lines := bufio.NewWriterSize(sum, 16<<10)
	write := func(parts ...string) {
		for _, part := range parts {
			lines.WriteString(part) // A hash takes everything.
		}
	}
	write(string(l.digest(f.Place, own)))
	for _, r := range f.Resources[1:] {
		write("\n", string(r.Kind), "/", r.Name, " ", string(r.Digest))
	}
	for _, a := range l.agentList {
		if a.Description != "" {
			write("\n", string(a.Name), " ", a.Description)
		}
	}
	lines.Flush()
	return Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// fleetSpec checks the Fleet's own spec, and returns the highest limits that an agent may set.
func (l *loader) fleetSpec(f *Fleet, e *entry[FleetSpec]) RunLimits {
	w, n := e.written, e.spec
	defaults := n.at("defaults")
	if w.Defaults.Model != "" && !l.alone {
		known(l, defaults.at("model"), KindModel, w.Defaults.Model, l.models)
	}
	if w.Defaults.Persona != "" && !l.alone {
		known(l, defaults.at("persona"), KindPersona, w.Defaults.Persona, l.personas)
	}
	ceilings := over(maxLimits, w.Ceilings)
	l.underCeilings(defaults.get("limits"), w.Defaults.Limits, ceilings)
	f.Suspended, f.Prune, f.Windows = w.Suspend, w.Prune, l.windows(n.at("windows"), w.Windows)
	f.Approvers = l.signers(e, n.get("approvers"), w.Approvers)
	if w.Signatures != nil {
		f.Signatures = &SignatureDemand{
			Mode: cmp.Or(w.Signatures.Mode, SignHead), Signers: l.signers(e, n.at("signatures", "signers"), w.Signatures.Signers),
			Authors: w.Signatures.Authors, Committers: w.Signatures.Committers, Place: "spec.signatures in " + rootFile,
		}
		l.noOwners(n.at("signatures", "signers"), w.Signatures.Signers)
	}
	if w.Ledger != nil {
		f.Ledger = &Ledger{Genesis: w.Ledger.Genesis, Signers: l.signers(e, n.at("ledger", "signers"), w.Ledger.Signers)}
		l.noOwners(n.at("ledger", "signers"), w.Ledger.Signers)
		l.sharedKeys(f, n.get("approvers"))
	}
	if w.Proposals.Expires != 0 {
		f.Expires = time.Duration(w.Proposals.Expires)
	}
	if w.Store != nil {
		f.Retention, f.StoreBytes = time.Duration(w.Store.Retention), int64(w.Store.MaxBytes)
	}
	f.Notify = w.Notify
	if w.Knowledge != nil && w.Knowledge.Postgres != nil {
		in := *w.Knowledge.Postgres
		if in.Schema = cmp.Or(in.Schema, "mainstay-"+e.document.ref().Name); len(in.Schema) > MaxName {
			l.error(n.at("knowledge", "postgres"), "write schema: NAME", "the schema %s is longer than the %d bytes that PostgreSQL allows", in.Schema, MaxName)
		}
		f.KnowledgeIn = &in
	}
	l.outside(e.document, n, w)
	return ceilings
}

// outside checks what the Fleet says of what it works with: forge, store and telemetry.
func (l *loader) outside(d *document, n *node, w FleetSpec) {
	if w.Forge != nil {
		self := w.Forge.Provider == "gitea" || w.Forge.Provider == "forgejo"
		if self && w.Forge.URL == "" {
			l.missing(d, n.at("forge"), "write url: https://git.example.com", "a forge of provider %s has no public service, and needs a URL", w.Forge.Provider)
		}
		l.secret(d, n.at("forge", "credential"), w.Forge.Credential)
	}
	if w.Store != nil {
		if u, err := url.Parse(w.Store.URL); w.Store.URL != "" && (err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme)) {
			l.error(n.at("store", "url"), "write it as nats://nats.example.com:4222", "the store's URL is not that of a NATS cluster")
		} else if err == nil && u.User != nil {
			l.error(n.at("store", "url"), "name it under credential", "the store's URL holds a credential, which everybody who reads the repository sees")
		}
		l.secret(d, n.at("store", "credential"), w.Store.Credential)
	}
	if w.Knowledge != nil && w.Knowledge.Postgres != nil {
		l.secret(d, n.at("knowledge", "postgres", "connection"), &w.Knowledge.Postgres.Connection)
	}
	l.notify(d, n.at("notify"), w.Notify)
	if w.Telemetry != nil {
		l.headers(d, n.at("telemetry", "headers"), w.Telemetry.Headers)
	}
}

// headers checks a list of HTTP headers.
func (l *loader) headers(d *document, n *node, headers []Header) {
	for i, h := range headers {
		at := n.at(i)
		if at.has("value") == (h.From != nil) {
			l.missing(d, at, "a secret stands under from, and all else under value", "the header needs exactly one of value and from")
		}
		if strings.ContainsAny(h.Value, "\r\n\x00") {
			l.error(at.at("value"), "", "the value of a header is one line")
		}
		l.secret(d, at.at("from"), h.From)
	}
}

// signers reads a list of keys.
func (l *loader) signers(e *entry[FleetSpec], n *node, signers []Signer) []Key {
	var keys []Key
	for i, s := range signers {
		at := n.at(i)
		if strings.TrimSpace(s.Name) != s.Name || strings.ContainsAny(s.Name, "\n\r\t") {
			l.error(at.at("name"), "write name: WHO, in one line", "the name of a key is one line with no blanks around it")
		}
		if s.Key == "" {
			continue
		}
		key, err := ParseKey(s.Name, s.Key)
		if err != nil {
			summary, hint, _ := strings.Cut(err.Error(), ": ")
			l.error(at.at("key"), hint, "%s", summary)
			continue
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Same(key) }) {
			l.error(at.at("key"), "keep one of them", "the key of %q is listed twice", s.Name)
		}
		key.CodeOwner = s.CodeOwner
		keys = append(keys, key)
	}
	return keys
}

// noOwners reports those who approve nothing and are said to be code owners.
func (l *loader) noOwners(n *node, signers []Signer) {
	for i, s := range signers {
		if s.CodeOwner != nil {
			l.error(n.at(i).keyOf("codeOwner"), "write it under spec.approvers", "only an approver is a code owner")
		}
	}
}

// sharedKeys warns of approvers whose key is a reconciler's: it could approve what it proposes.
func (l *loader) sharedKeys(f *Fleet, n *node) {
	for i, approver := range f.Approvers {
		if slices.ContainsFunc(f.Ledger.Signers, func(k Key) bool { return k.Same(approver) }) {
			l.warn(n.at(i, "key"), "give the reconciler a key of its own", "the key of approver %q also signs the ledger, so the reconciler could approve what it proposes", approver.Name)
		}
	}
}
