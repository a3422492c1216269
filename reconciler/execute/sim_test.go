package execute

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	simFaults = flag.Int("sim.faults", 1, "crashes and lost messages in one history of the simulation")
	simTicks  = flag.Int("sim.ticks", 1, "how often a minute passes in one history of the simulation")
)

// maxStates bounds a search, for memory's sake.
const maxStates = 4_000_000

// Every history of two executors, a person and a tool is tried, up to so many crashes and lost messages, and so many times
// that claims and starts expire. The executors are the real ones; only Git, the tool, the clocks and chance are the
// simulation's. `go test ./reconciler/execute -run TheProtocol -v -sim.faults 3 -sim.ticks 2` goes deeper, for a long time.
// With -short and under the race detector no time passes, and only one fault happens.
func TestTheProtocolHoldsInEveryHistory(t *testing.T) {
	const hour = time.Hour
	clocks := func(one, two time.Duration) [2]time.Duration { return [2]time.Duration{one, two} }
	for _, c := range []struct {
		name string
		model
	}{
		{"clocks agree", model{}},
		{"clocks agree, more is lost, and no time passes", model{faults: 2, ticks: -1}},
		{"one clock is an hour behind", model{skew: clocks(0, -hour)}},
		{"clocks are two hours apart, and the person's is ahead", model{skew: clocks(hour, -hour), personSkew: hour}},
		{"a person lets it start once more, and one clock is an hour behind", model{retries: true, skew: clocks(0, -hour)}},
		{"a person lets it start once more, and her clock is an hour ahead", model{retries: true, personSkew: hour}},
		{"the tool is idempotent, and no person looks", model{idempotent: true, personSkew: -1000 * hour}},
		{"it expires meanwhile", model{expires: tick}},
		{"it was pushed directly", model{unapproved: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if raced || testing.Short() {
				c.faults, c.ticks = 0, -1
			}
			s := searched(t, c.model)
			if s.found != nil {
				t.Error(s.found)
			}
			if c.unapproved && len(s.tips) > 1 {
				t.Error("something was written to the ledger")
			}
		})
	}
}

// Each of these is wrong in one way, and the search finds what comes of it.
func TestABrokenProtocolIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name string
		broken
		breaks string
		model
	}{
		{"the start is pushed after the effect", startAfterEffect, startFirst, model{}},
		{"nonces are alike, so that nobody notices that a claim was taken over", alikeNonces, startFirst, model{}},
		{"an expired start is tried again although the tool is not idempotent", unknownIsRetried, once, model{}},
		{"a push whose answer was lost is taken as refused", lostIsRefused, notForLoss, model{}},
		{"a call whose answer was lost is taken as not sent", lostIsNotSent, truthful, model{}},
		{"a claim that has not expired by one's own clock stands in for the start", clockAsFence, startFirst, model{}},
		{"the ledger is pushed by force", forcedPush, kept, model{}},
		{"a person lets it start once more, and clocks are two hours apart", sound, once, model{retries: true, skew: [2]time.Duration{0, -2 * time.Hour}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.model.broken = c.broken
			s := searched(t, c.model)
			switch {
			case s.found == nil:
				t.Errorf("nothing was found wrong, and %q does not hold", c.breaks)
			case s.found.invariant != c.breaks:
				t.Errorf("found, but not that %q does not hold: %s", c.breaks, s.found)
			default:
				t.Logf("found: %s", s.found)
			}
		})
	}
}

// searched searches all of a model.
func searched(t *testing.T, m model) *search {
	t.Helper()
	m.faults, m.ticks = max(m.faults, int8(*simFaults)), max(m.ticks+int16(*simTicks), 0)
	if m.expires == 0 {
		m.expires = 72 * time.Hour
	}
	began := time.Now()
	s := newModel(t, m).run(maxStates)
	t.Logf("%d states, the farthest %d steps away; up to %d faults and %d minutes in a history; %d points of an executor, in %s",
		len(s.all), s.depth, m.faults, m.ticks, s.m.nodes, time.Since(began).Round(time.Millisecond))
	return s
}

// broken is a way in which the protocol could be wrong. The executor's own code stays as it is; it is told something else
// than what happened, or does something before it is asked to.
type broken int8

const (
	sound            broken = iota
	startAfterEffect        // it calls the tool, and pushes the start then
	alikeNonces             // every nonce is the same, so that every claim and start looks like one's own
	unknownIsRetried        // the tool is said to be idempotent, and is not
	lostIsRefused           // remote.ErrUncertain becomes remote.ErrRejected
	lostIsNotSent           // an error of the tool becomes ErrNotSent
	clockAsFence            // the start is not pushed while the claim is good by one's own clock
	forcedPush              // the remote takes every push
)

func (b broken) String() string { return fmt.Sprintf("broken %d", int8(b)) }
