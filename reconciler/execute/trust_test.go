package execute_test

import (
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

// What rules and CODEOWNERS know an approver by is as much a part of who may approve as the key.
func TestTrustIsOfKeysAndNames(t *testing.T) {
	w := newWorld(t)
	key := func(name string, owns ...string) spec.Key {
		k, err := spec.ParseKey(name, w.reviewer.AuthorizedKey())
		w.ok(err)
		k.CodeOwner = owns
		return k
	}
	fleet := func(approvers ...spec.Key) *spec.Fleet {
		return &spec.Fleet{Approvers: approvers, Ledger: &spec.Ledger{Genesis: w.genesis}}
	}
	ada := fleet(key("Ada", "@shop/sre"))
	for name, other := range map[string]*spec.Fleet{
		"another name":       fleet(key("Grace", "@shop/sre")),
		"another code owner": fleet(key("Ada", "@shop/dba")),
		"no code owner":      fleet(key("Ada")),
		"nobody":             fleet(),
	} {
		if execute.SameTrust(ada, other) {
			t.Errorf("%s is the same", name)
		}
	}
	if !execute.SameTrust(ada, fleet(key("Ada", "@shop/sre"))) {
		t.Error("the same is another")
	}
}
