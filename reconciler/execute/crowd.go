package execute

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// Limit is how many effects may start in any time of a length.
type Limit struct {
	// Name tells limits apart, and is kept in the ledger: a limit of another name begins to count anew.
	Name  string
	Calls int
	// Per is that length. 0 is one run.
	Per time.Duration
	// Reason is for people. It may be empty.
	Reason string
}

// crowd is what an Action shares with others: a target that few calls may be about at once, and limits.
type crowd struct {
	target spec.Digest
	most   int
	limits []Limit
}

// names are what a claim keeps of the limits.
func (c crowd) names() []string {
	var names []string
	for _, l := range c.limits {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names
}

// crowdOf is what an Action shares with others.
func (e *Executor) crowdOf(w Work) (crowd, error) {
	server, tool, err := e.tool(w)
	if err != nil {
		return crowd{}, nil //nolint:nilerr // It waits for its tool.
	}
	about := map[string]any{"server": server.Name, "arguments": tool.TargetOf(w.Action.Spec.Arguments)}
	if len(tool.Target) == 0 {
		about["tool"] = w.Action.Spec.Tool // Arguments that nobody has declared to be the target mean something to their tool alone.
	}
	raw, err := spec.Canonical(about)
	if err != nil {
		return crowd{}, fmt.Errorf("find out what the call is about: %w", err)
	}
	c := crowd{target: spec.DigestBytes(raw), most: max(tool.Concurrency, 1)}
	if l := tool.Limit; l != nil {
		c.limits = append(c.limits, Limit{Name: server.Ref.String() + "#" + w.Action.Spec.Tool, Calls: l.Calls, Per: time.Duration(l.Per)})
	}
	more, err := e.opts.Limits(w)
	c.limits = append(c.limits, more...)
	return c, err
}

// heldError is what keeps a claim from being written.
type heldError struct{ hold }

func (h *heldError) Error() string { return h.message }

// crowded holds an Action while its target or a limit is used up, by what the book says. The caller holds the ledger's lock.
func (c crowd) crowded(b *book, id spec.ActionID, now time.Time) hold {
	if c.most == 0 {
		return hold{}
	}
	var busy []spec.ActionID
	for _, other := range slices.Sorted(maps.Keys(b.actions)) {
		if last := b.actions[other].claim(); other != id && last != nil && last.Target == c.target && b.actions[other].open(now) {
			busy = append(busy, other)
		}
	}
	if len(busy) >= c.most {
		return hold{reason: ReasonBusy, message: fmt.Sprintf("%s is under way on the same target: %s", busy[0], b.actions[busy[0]].state(now).Message)}
	}
	for _, l := range c.limits {
		if h := l.reached(b, id, now); h.holds() {
			return h
		}
	}
	return hold{}
}

// reached holds an Action where as many effects have started as the limit lets through, or are about to.
func (l Limit) reached(b *book, id spec.ActionID, now time.Time) hold {
	var counted []time.Time // when each of them counts no more
	for other, r := range b.actions {
		if l.Per == 0 && runOf(other) != runOf(id) {
			continue
		}
		for _, start := range r.starts {
			if until := start.At.Add(l.Per); slices.Contains(start.Limits, l.Name) && (l.Per == 0 || until.After(now)) {
				counted = append(counted, until)
			}
		}
		if last := r.claim(); other != id && last != nil && slices.Contains(last.Limits, l.Name) && r.started(last.Nonce) == nil && r.open(now) {
			counted = append(counted, last.Deadline.Add(l.Per))
		}
	}
	if len(counted) < l.Calls {
		return hold{}
	}
	slices.SortFunc(counted, time.Time.Compare)
	reason := ""
	if l.Reason != "" {
		reason = ": " + l.Reason
	}
	if l.Per == 0 {
		return hold{reason: ReasonLimited, message: fmt.Sprintf("%s lets %d calls of one run through, and the run has made them%s", l.Name, l.Calls, reason), never: true}
	}
	return hold{reason: ReasonLimited, message: fmt.Sprintf("%s lets %d calls in %s through, and there is no room before %s%s",
		l.Name, l.Calls, spec.Duration(l.Per), counted[len(counted)-l.Calls].UTC().Format(time.RFC3339), reason)}
}

// runOf is an Action's id without its number.
func runOf(id spec.ActionID) string {
	return string(id[:max(strings.LastIndexByte(string(id), '-'), 0)])
}

// open reports whether the effect of the last claim may be happening, or be about to, or have happened unseen.
func (r *record) open(now time.Time) bool {
	last := r.claim()
	if last == nil || r.receipt != nil || r.final() != nil {
		return false
	}
	return len(r.starts) > 0 || now.Before(*last.Deadline)
}

// crowded holds an Action by what the ledger said when it was last read.
func (e *Executor) crowded(w Work) (hold, error) {
	c, err := e.crowdOf(w)
	if err != nil {
		return hold{}, err
	}
	return e.opts.Ledger.look(func(b *book) hold { return c.crowded(b, w.Action.ID, e.opts.Now()) }), nil
}

// asHeld returns what has kept a claim from being written.
func asHeld(err error) (hold, bool) {
	held, ok := errors.AsType[*heldError](err)
	if !ok {
		return hold{}, false
	}
	return held.hold, true
}
