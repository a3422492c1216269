package run

import (
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

func TestWhatARunWaitsFor(t *testing.T) {
	action, direct, child := spec.Proposal{Kind: spec.ProposalAction}, spec.Proposal{Kind: spec.ProposalDirect}, spec.ChildRun{Agent: "other"}
	for _, test := range []struct {
		sum  spec.RunSummary
		want string
	}{
		{spec.RunSummary{Waiting: []spec.Proposal{action, action}}, "a review"},
		{spec.RunSummary{Waiting: []spec.Proposal{direct}}, "the end of a call without a review"},
		{spec.RunSummary{Waiting: []spec.Proposal{direct, action}}, "a review and the end of a call without a review"},
		{spec.RunSummary{Children: []spec.ChildRun{child}}, "another agent"},
		{spec.RunSummary{Waiting: []spec.Proposal{action}, Children: []spec.ChildRun{child}}, "a review and another agent"},
	} {
		if got := waitsFor(test.sum); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
