package plan

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// fleet compares what the two root files say.
func (x *comparison) fleet() {
	before, after := x.before.Fleet, x.after.Fleet
	ref := after.Ref
	if ref.Kind == "" {
		ref = before.Ref
	}
	changed := ResourceChange{Ref: ref, Mode: Changed, Place: after.Place, From: before.Digest, To: after.Digest}
	switch {
	case before.Kind == "" && after.Kind == "":
		return
	case before.Kind == "":
		changed.Mode = Added
	case after.Kind == "":
		changed.Mode, changed.Place = Removed, before.Place
	case before.Name != after.Name:
		changed.Fields = append(changed.Fields, Field{Path: "metadata.name", Before: before.Name, After: after.Name})
	}
	// What only Mainstay itself reads of the root is judged where both have one: the first fleet permits what it says.
	switch changed.Mode {
	case Removed:
	case Added:
		for _, d := range differences(spec.KindFleet, nil, x.after.tree(after.Resource)) {
			changed.Fields = append(changed.Fields, d.field())
		}
		x.keys(ref)
	default:
		changed.Fields = append(changed.Fields, x.judged(ref, spec.KindFleet, x.before.tree(before.Resource), x.after.tree(after.Resource))...)
		changed.Fields = append(changed.Fields, x.others(ref)...)
		x.lock(ref)
		changed.Fields = append(changed.Fields, x.pins[ref]...)
		x.keys(ref)
	}
	if changed.Mode != Changed || len(changed.Fields) > 0 {
		x.Resources = append(x.Resources, changed)
	}
}

// known are the names that an approver is known by.
func known(k spec.Key) string { return strings.Join(append([]string{k.Name}, k.CodeOwner...), ", ") }

// keys compares whose signature counts for what. A key is the same whatever its owner is called.
func (x *comparison) keys(ref spec.Ref) {
	before, after := x.before.Fleet, x.after.Fleet
	names := func(code string, was, is []spec.Key, joined, left string) {
		for _, k := range is {
			switch {
			case !hasKey(was, k):
				x.widened.add(ref, code, joined, k.Name, k.Fingerprint())
			case !slices.ContainsFunc(was, k.Equal):
				x.widened.add(ref, code, "changed the subkeys, expiry or revocations of the key %[2]s of %[1]s", k.Name, k.Fingerprint())
			}
		}
		for _, k := range was {
			if !hasKey(is, k) {
				x.narrowed.add(ref, code, left, k.Name, k.Fingerprint())
			}
		}
	}
	names("approver", before.Approvers, after.Approvers, "gained the approver %s with the key %s", "lost the approver %s with the key %s")
	for _, k := range after.Approvers { // Rules and CODEOWNERS know approvers by these names.
		ruled := slices.ContainsFunc(after.Policies, func(p *spec.Policy) bool {
			return slices.ContainsFunc(p.Rules, func(r spec.Rule) bool { return slices.Contains(r.Approvers, k.Name) })
		})
		for _, old := range before.Approvers {
			if k.Same(old) && (k.Name != old.Name && ruled || !slices.Equal(k.CodeOwner, old.CodeOwner)) {
				x.widened.add(ref, "approver", "changed what the approver %s is known as, from %s to %s", k.Name, known(old), known(k))
			}
		}
	}
	if len(before.Approvers) > 0 && len(after.Approvers) == 0 {
		x.widened.add(ref, "approver", "lost its last approver: whoever writes the next list of approvers is believed")
	}
	switch {
	case before.Kind == "" && after.Signatures == nil: // It is the first fleet, and nothing was demanded before.
	case before.Kind == "":
		x.narrowed.add(ref, "signatures", "demands signatures of commits")
	case before.Signatures != nil && after.Signatures == nil:
		x.widened.add(ref, "signatures", "no longer demands signatures: every commit of the branch runs")
	case before.Signatures == nil && after.Signatures != nil:
		x.narrowed.add(ref, "signatures", "demands signatures of commits")
	case before.Signatures == nil:
	default:
		was, is := before.Signatures, after.Signatures
		names("signatures", was.Signers, is.Signers, "gained the signer of commits %s with the key %s", "lost the signer of commits %s with the key %s")
		x.signatures(ref, was, is)
	}
	switch was, is := before.Ledger, after.Ledger; {
	case was == nil && is == nil:
	case is == nil:
		x.narrowed.add(ref, "ledger", "pins no ledger any more: no action is executed")
	case was == nil:
		x.widened.add(ref, "ledger", "pins a ledger, so that approved actions are executed")
		names("ledger", nil, is.Signers, "gained the signer of the ledger %s with the key %s", "")
	default:
		if was.Genesis != is.Genesis {
			x.widened.add(ref, "ledger", "pins another ledger, %s instead of %s: what the old one says was executed is forgotten", is.Genesis, was.Genesis)
		}
		names("ledger", was.Signers, is.Signers, "gained the signer of the ledger %s with the key %s", "lost the signer of the ledger %s with the key %s")
	}
}

func hasKey(keys []spec.Key, key spec.Key) bool { return slices.ContainsFunc(keys, key.Same) }

// stricter are the modes of a demand that ask for all that another one does, and more.
var stricter = map[[2]string]bool{
	{spec.SignHead, spec.SignEveryCommit}: true, {spec.SignHead, spec.SignTagAndHead}: true, {spec.SignTag, spec.SignTagAndHead}: true,
}

// signatures compares what is demanded of commits, but for the keys.
func (x *comparison) signatures(ref spec.Ref, was, is *spec.SignatureDemand) {
	if was.Mode != is.Mode {
		c := &x.widened
		if stricter[[2]string{was.Mode, is.Mode}] {
			c = &x.narrowed
		}
		c.add(ref, "signatures", "demands signatures by mode %s instead of %s", is.Mode, was.Mode)
	}
	for _, people := range []struct {
		are     string
		was, is []string
	}{{"authors", was.Authors, is.Authors}, {"committers", was.Committers, is.Committers}} {
		switch {
		case len(people.was) > 0 && len(people.is) == 0:
			x.widened.add(ref, "signatures", "lets anybody be among the "+people.are+" of commits")
			continue
		case len(people.was) == 0 && len(people.is) > 0:
			x.narrowed.add(ref, "signatures", "names the "+people.are+" of commits")
			continue
		}
		for _, one := range people.is {
			if !slices.Contains(people.was, one) {
				x.widened.add(ref, "signatures", "gained %s among the "+people.are+" of commits", one)
			}
		}
		for _, one := range people.was {
			if !slices.Contains(people.is, one) {
				x.narrowed.add(ref, "signatures", "lost %s among the "+people.are+" of commits", one)
			}
		}
	}
}

// compared are the fields of [spec.Fleet] that are looked into elsewhere.
var compared = []string{
	"Resource", "Approvers", "Signatures", "Ledger", "Lock", "Expires", "Retention", "StoreBytes", "Agents", "Models", "Servers", "Skills", "Knowledge", "Actions", "Policies", "Triggers", "Resources",
}

// maxTold is how many differences are told one by one in whatever else a fleet holds.
const maxTold = 20

// others compares whatever else a fleet holds. Nobody has thought about what that permits, so that a difference is marked.
func (x *comparison) others(ref spec.Ref) []Field {
	var fields []Field
	before, after := reflect.ValueOf(x.before.Fleet).Elem(), reflect.ValueOf(x.after.Fleet).Elem()
	for i := range before.NumField() {
		of := before.Type().Field(i)
		if !of.IsExported() || slices.Contains(compared, of.Name) {
			continue
		}
		name := strings.ToLower(of.Name[:1]) + of.Name[1:]
		found := differences("", inTree(name, before.Field(i).Interface()), inTree(name, after.Field(i).Interface()))
		for _, d := range found {
			f := d.field()
			f.Widens = true
			fields = append(fields, f)
			if len(found) <= maxTold {
				unknown(d, &judged{ref: ref, widened: &x.widened, narrowed: &x.narrowed})
			}
		}
		if len(found) > maxTold {
			x.widened.add(ref, "field", "changed %s in %s fields", name, strconv.Itoa(len(found)))
		}
	}
	return fields
}

// inTree is a value as a tree of JSON under a name. What JSON cannot say is not in it.
func inTree(name string, v any) map[string]any {
	raw, err := json.Marshal(v)
	var tree any
	if err != nil || json.Unmarshal(raw, &tree) != nil || tree == nil {
		return map[string]any{}
	}
	return map[string]any{name: tree}
}
