package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/spec"
)

// refusing is a driver whose Open fails.
type refusing struct {
	proposal.Driver
	err error
}

func (r refusing) Open(context.Context, spec.Proposal) error { return r.err }

func TestWhatCanNeverBeOpenedIsAnAnswerAndNoRetry(t *testing.T) {
	away := errors.New("the network is away")
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"a rejected one":       {&proposal.RejectedError{By: "Ada", Reason: "not now"}, `"reason":"Ada has rejected this proposal: not now","state":"rejected"`},
		"an edited one":        {&proposal.EditedError{Branch: "b", By: "Ada"}, `"state":"refused"`},
		"an invalid one":       {&proposal.InvalidError{Err: errors.New("edit x: it is a folder")}, `"reason":"edit x: it is a folder","state":"refused"`},
		"one that may be open": {away, ""},
		"one that is open":     {nil, ""},
	} {
		r := &Reconciler{proposals: refusing{err: tt.err}, broker: broker.New(broker.Options{Redactor: broker.NewRedactor(func() []string { return nil })})}
		if tt.err != nil {
			r.proposals = refusing{err: fmt.Errorf("open: %w", tt.err)}
		}
		answer, err := proposals{r}.Open(t.Context(), spec.Proposal{Key: "0123456789abcdef"})
		if tt.want == "" {
			if answer != nil || !errors.Is(err, tt.err) {
				t.Errorf("%s: %+v, %v", name, answer, err)
			}
			continue
		}
		if err != nil || answer == nil || !strings.Contains(string(answer.Body), tt.want) {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
	}
}
