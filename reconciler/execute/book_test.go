package execute

import (
	"strings"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestPathsOfTheLedgerAreReadBackAsTheyAreWritten(t *testing.T) {
	for _, path := range []string{
		"actions/triage-01jd-1/claim.json", "actions/triage-01jd-1/claim-2.json", "actions/a/started.json",
		"actions/a/receipt.json", "actions/a/resolution.json", "proposals/0123456789abcdef/rejection.json",
		"proposals/0123456789abcdef/rejection-12.json",
	} {
		p, err := parsePlace(path)
		if err != nil || p.path() != path {
			t.Errorf("%s became %s, error %v", path, p.path(), err)
		}
	}
	for _, path := range []string{
		"", "README.md", "actions/claim.json", "actions/a/claim-1.json", "actions/a/claim-02.json", "actions/A/claim.json",
		"actions/a/b/claim.json", "actions/a/rejection.json", "proposals/0123/rejection.json", "proposals/0123456789abcdef/claim.json",
		"actions/a/claim.json\n", "actions/../claim.json",
	} {
		if p, err := parsePlace(path); err == nil {
			t.Errorf("%q is read as %+v", path, p)
		}
	}
}

func FuzzEntriesOfTheLedger(f *testing.F) {
	f.Add("actions/a/claim.json", []byte(`{"step":"claim","action":"a","digest":"d","nonce":"n","deadline":"2026-01-01T00:00:00Z"}`))
	f.Add("proposals/0123456789abcdef/rejection.json", []byte(`{"step":"rejection","proposal":"0123456789abcdef"}`))
	f.Fuzz(func(t *testing.T, path string, content []byte) {
		b := newBook(nil, trust{}, noLock{})
		e, err := b.parse(path, content)
		if err != nil {
			return
		}
		if e.place.path() != path {
			t.Fatalf("%q is read as %q", path, e.place.path())
		}
		b.add("", e)
		if e.place.action != "" && b.record(e.place.action).claim() == nil && e.place.step != "resolution" {
			t.Fatalf("%s stands without a claim", path)
		}
	})
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

func TestAnEntryFitsItsClaim(t *testing.T) {
	deadline := time.Unix(1, 0)
	entry := func(step, nonce string, digest spec.Digest) spec.LedgerEntry {
		e := spec.LedgerEntry{Step: step, Action: "a", Nonce: nonce, Digest: digest, Deadline: &deadline}
		if step == spec.StepReceipt {
			e.Outcome = spec.OutcomeDone
		}
		return e
	}
	claim := entry(spec.StepClaim, "one", "bytes")
	start := entry(spec.StepStarted, "one", "bytes")
	for _, test := range []struct {
		name   string
		before []spec.LedgerEntry
		entry  spec.LedgerEntry
		n      int
		wrong  string
	}{
		{"a start", []spec.LedgerEntry{claim}, start, 1, ""},
		{"a start of other bytes", []spec.LedgerEntry{claim}, entry(spec.StepStarted, "one", "others"), 1, "other bytes"},
		{"a receipt", []spec.LedgerEntry{claim, start}, entry(spec.StepReceipt, "one", "bytes"), 1, ""},
		{"a receipt of other bytes", []spec.LedgerEntry{claim, start}, entry(spec.StepReceipt, "one", "others"), 1, "other bytes"},
		{"a receipt of another start", []spec.LedgerEntry{claim, start}, entry(spec.StepReceipt, "two", "bytes"), 1, "belongs to no start"},
		{"a second claim", []spec.LedgerEntry{claim}, entry(spec.StepClaim, "two", "bytes"), 2, ""},
		{"a second claim with the nonce of the first", []spec.LedgerEntry{claim}, claim, 2, "nonce"},
	} {
		r := &record{}
		for _, e := range test.before {
			r.add(e, spec.Key{}, true)
		}
		err := r.check(test.entry, test.n)
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, want %q", test.name, err, test.wrong)
		}
	}
}
