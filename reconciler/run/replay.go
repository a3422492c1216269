package run

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/spec"
)

// replay matches what an agent asks for with what it asked for before. Requests to models, for time and for randomness
// come in the order of their lane. Tool calls come in any order, because calls that run side by side do.
type replay struct {
	ordered map[spec.Lane][]*exchange
	tools   map[spec.Lane][]*exchange
}

func newReplay(exchanges []*exchange) *replay {
	r := &replay{ordered: map[spec.Lane][]*exchange{}, tools: map[spec.Lane][]*exchange{}}
	for _, x := range exchanges {
		into := r.ordered
		if x.request.Kind == spec.RequestTool {
			into = r.tools
		}
		into[x.request.Lane] = append(into[x.request.Lane], x)
	}
	return r
}

// match returns the exchange that a request repeats, or nil for a new one. expected is not nil where the record says that the
// agent should have asked for that in its place.
func (r *replay) match(q spec.Request) (x, expected *exchange) {
	digest := bodyDigest(q.Body)
	if q.Kind == spec.RequestTool {
		return r.matchTool(q, digest)
	}
	if ahead := r.ordered[q.Lane]; len(ahead) > 0 {
		x := ahead[0]
		if x.request.Kind != q.Kind || x.digest != digest {
			return nil, x
		}
		r.ordered[q.Lane] = ahead[1:]
		return x, nil
	}
	if left := r.tools[q.Lane]; q.Kind == spec.RequestModel && len(left) > 0 {
		return nil, left[0]
	}
	return nil, nil
}

func (r *replay) matchTool(q spec.Request, digest [sha256.Size]byte) (x, expected *exchange) {
	left := r.tools[q.Lane]
	for i, x := range left {
		if x.request.Call == q.Call && x.digest == digest {
			r.tools[q.Lane] = slices.Delete(left, i, i+1)
			return x, nil
		}
	}
	for _, x := range left {
		if x.request.Call == q.Call && q.Call != "" {
			return nil, x
		}
	}
	// A call that the record lacks is new only if the agent has come to the end of its lane: it would have been asked for
	// before the next request to a model.
	for _, x := range r.ordered[q.Lane] {
		if x.request.Kind == spec.RequestModel {
			return nil, x
		}
	}
	return nil, nil
}

// left returns the first exchange with a model or a tool that the agent has not come to, or nil.
func (r *replay) left() *exchange {
	var first *exchange
	for _, lanes := range []map[spec.Lane][]*exchange{r.ordered, r.tools} {
		for _, ahead := range lanes {
			for _, x := range ahead {
				worth := x.request.Kind == spec.RequestModel || x.request.Kind == spec.RequestTool
				if worth && (first == nil || x.n < first.n) {
					first = x
				}
			}
		}
	}
	return first
}

// differs says what an agent asked for and what it asks for now.
func differs(x *exchange, q spec.Request) string {
	was, is := name(x.request), name(q)
	if was != is {
		return fmt.Sprintf("exchange %d in lane %s was %s, and now the agent asks for %s", x.n, q.Lane, was, is)
	}
	a, b := around(x.request.Body, q.Body)
	return fmt.Sprintf("exchange %d in lane %s was %s with %s, and now it is with %s", x.n, q.Lane, was, a, b)
}

func name(q spec.Request) string {
	if q.Kind == spec.RequestTool {
		return fmt.Sprintf("tool call %q of %s", q.Call, cmp.Or(toolBody(q.Body).Name, "a tool"))
	}
	return "a " + q.Kind + " request"
}

// around returns the places where two bodies begin to differ.
func around(a, b []byte) (string, string) {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	return excerpt(a, at), excerpt(b, at)
}

func excerpt(b []byte, at int) string {
	const before, after = 30, 60
	from, to := max(at-before, 0), min(at+after, len(b))
	text := oneLine(string(b[from:to]), before+after)
	if from > 0 {
		text = "…" + text
	}
	if to < len(b) {
		text += "…"
	}
	return "`" + text + "`"
}
