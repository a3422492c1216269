package near_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec/near"
)

func TestName(t *testing.T) {
	for _, test := range []struct{ name, among, want string }{
		{"modle", "model tools", "model"},
		{"Model", "model tools", "model"},
		{"moodel", "model tools", "model"},
		{"mdl", "model tools", ""},
		{"model", "model", ""}, // It is no misspelling.
		{"persona", "model tools", ""},
		{"cat", "car can cap", "can"},
		{"", "a b", ""},
		{"a", "b", ""},
	} {
		if got := near.Name(test.name, strings.Fields(test.among)); got != test.want {
			t.Errorf("%q among %s is %q, not %q", test.name, test.among, got, test.want)
		}
	}
}

func TestDistanceIsAMetric(t *testing.T) {
	text := rapid.StringMatching(`[ab]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		there, back := near.Distance(a, b), near.Distance(b, a)
		if there != back || (there == 0) != (a == b) || there > max(len(a), len(b)) || there < max(len(a), len(b))-min(len(a), len(b)) {
			t.Fatalf("from %q to %q it is %d, and %d back", a, b, there, back)
		}
	})
}

func TestHint(t *testing.T) {
	known := []string{"triage", "keeper"}
	if got := near.Hint("traige", known, "there are two"); got != `did you mean "triage"?` {
		t.Error(got)
	}
	if got := near.Hint("billing", known, "there are two"); got != "there are two" {
		t.Error(got)
	}
}
