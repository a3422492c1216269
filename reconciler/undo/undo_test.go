package undo

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

const aRun = "01jd00000000000000000000ab"

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func id(n int) spec.ActionID { return spec.ActionID(fmt.Sprintf("clerk-%s-%d", aRun, n)) }

// at is the time of a place in the ledger.
func at(place int) time.Time { return noon.Add(time.Duration(place) * time.Second) }

func action(n int, e Effect, began, ended int) Action {
	return Action{ID: id(n), Effect: e, Began: began, Ended: ended, BeganAt: at(began), EndedAt: at(ended), Declared: true, Message: "it is full"}
}

func TestWhatIsOffered(t *testing.T) {
	offered := action(1, Done, 1, 2)
	offered.Offered = true
	impossible := action(1, Done, 3, 4)
	impossible.Impossible = "no such key: id"
	undeclared := action(1, Done, 1, 2)
	undeclared.Declared = false
	an := func(undo, after spec.ActionID, failed string, place int) string {
		return fmt.Sprintf("%s after %q since %s because %s", undo, after, at(place).Format(time.TimeOnly), failed)
	}
	tests := []struct {
		name  string
		run   Run
		offer []string
		held  []spec.ActionID
	}{
		{"nothing failed", Run{Actions: []Action{action(1, Done, 1, 2)}}, nil, nil},
		{"a later action failed", Run{Actions: []Action{action(1, Done, 1, 2), action(2, Failed, 3, 4)}},
			[]string{an(id(1), "", string(id(2))+" failed: it is full", 4)}, nil},
		{"an earlier action failed", Run{Actions: []Action{action(1, Failed, 1, 2), action(2, Done, 3, 4)}}, nil, nil},
		{"the last effect first", Run{Actions: []Action{action(1, Done, 1, 2), action(2, Done, 3, 4), action(3, Failed, 5, 6)}},
			[]string{an(id(2), "", string(id(3))+" failed: it is full", 6), an(id(1), ID(id(2)), string(id(3))+" failed: it is full", 6)}, nil},
		{"the run failed", Run{Actions: []Action{action(1, Done, 1, 2)}, FailedAt: at(9), Failed: "AgentExited"},
			[]string{an(id(1), "", "the run failed: AgentExited", 9)}, nil},
		{"it was executed after the run had failed", Run{Actions: []Action{action(1, Done, 10, 11)}, FailedAt: at(9)}, nil, nil},
		{"it was offered", Run{Actions: []Action{offered, action(2, Failed, 3, 4)}}, nil, nil},
		{"it declares no undo", Run{Actions: []Action{undeclared, action(2, Failed, 3, 4)}}, nil, nil},
		{"unknown", Run{Actions: []Action{action(1, Unknown, 1, 0), action(2, Failed, 3, 4)}}, nil, []spec.ActionID{id(1)}},
		{"a later one is unknown", Run{Actions: []Action{action(1, Done, 1, 2), action(2, Unknown, 3, 0), action(3, Failed, 5, 6)}},
			nil, []spec.ActionID{id(2), id(1)}},
		{"an earlier one is unknown", Run{Actions: []Action{action(1, Unknown, 1, 0), action(2, Done, 3, 4), action(3, Failed, 5, 6)}},
			[]string{an(id(2), "", string(id(3))+" failed: it is full", 6)}, []spec.ActionID{id(1)}},
		{"no undo can be made of a later one", Run{Actions: []Action{action(2, Done, 1, 2), impossible, action(3, Failed, 5, 6)}},
			[]string{an(id(2), "", string(id(3))+" failed: it is full", 6)}, []spec.ActionID{id(1)}},
		{"an undo failed", Run{Actions: []Action{action(1, Done, 1, 2), action(spec.UndoExchange(9), Failed, 3, 4)}}, nil, nil},
		{"an undo was done", Run{Actions: []Action{action(spec.UndoExchange(1), Done, 1, 2), action(2, Failed, 3, 4)}}, nil, nil},
		{"a person has found out that it happened", Run{Actions: []Action{action(1, Done, 1, 20), action(2, Failed, 3, 4)}},
			[]string{an(id(1), "", string(id(2))+" failed: it is full", 20)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			offers, held := Decide(test.run)
			var got []string
			for _, o := range offers {
				got = append(got, an(o.Undoes, o.After, o.Failed, int(o.At.Sub(noon)/time.Second)))
			}
			var waits []spec.ActionID
			for _, h := range held {
				waits = append(waits, h.Action)
			}
			if diff := cmp.Diff(test.offer, got); diff != "" {
				t.Errorf("offers:\n%s", diff)
			}
			if diff := cmp.Diff(test.held, waits); diff != "" {
				t.Errorf("held:\n%s", diff)
			}
		})
	}
}

// genRun makes runs of a few actions, at places of the ledger that differ.
var genRun = rapid.Custom(func(t *rapid.T) Run {
	n := rapid.IntRange(0, 8).Draw(t, "actions")
	places := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
		for i := range 2*n + 1 {
			if !yield(i + 1) {
				return
			}
		}
	})).Draw(t, "places")
	var r Run
	for i := range n {
		began, ended := min(places[2*i], places[2*i+1]), max(places[2*i], places[2*i+1])
		a := action(i+1, Effect(rapid.IntRange(int(None), int(Failed)).Draw(t, "effect")), began, ended)
		if rapid.IntRange(0, 4).Draw(t, "undo") == 0 {
			a.ID = ID(a.ID)
		}
		a.Declared, a.Offered = rapid.IntRange(0, 3).Draw(t, "declared") > 0, rapid.IntRange(0, 3).Draw(t, "offered") == 0
		if rapid.IntRange(0, 4).Draw(t, "impossible") == 0 {
			a.Impossible = "no"
		}
		r.Actions = append(r.Actions, a)
	}
	if rapid.Bool().Draw(t, "failed") {
		r.FailedAt = at(places[2*n])
	}
	return r
})

func TestNothingElseIsOfferedEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRun.Draw(t, "run")
		of := map[spec.ActionID]Action{}
		for _, a := range r.Actions {
			of[a.ID] = a
		}
		offers, held := Decide(r)
		last, undos := 1<<30, map[spec.ActionID]spec.ActionID{}
		for _, a := range r.Actions {
			undos[ID(a.ID)] = a.ID
		}
		for _, o := range offers {
			a := of[o.Undoes]
			if a.Effect != Done || !a.Declared || a.Offered || a.Impossible != "" || a.ID.IsUndo() {
				t.Fatalf("offered to undo %+v", a)
			}
			if a.Began >= last {
				t.Fatalf("%s comes too late", a.ID)
			}
			last = a.Began
			if o.After != "" && of[undos[o.After]].Began <= a.Began {
				t.Fatalf("%s is undone after %s, which began before it", a.ID, o.After)
			}
			failed := !r.FailedAt.IsZero() && !r.FailedAt.Before(a.BeganAt)
			for _, f := range r.Actions {
				failed = failed || f.Effect == Failed && !f.ID.IsUndo() && f.Ended > a.Began
				if (f.Effect == Unknown || f.Effect == Open) && f.Declared && !f.ID.IsUndo() && f.Began > a.Began && slices.ContainsFunc(held, func(h Held) bool { return h.Action == f.ID }) {
					t.Fatalf("%s is undone while nobody knows whether %s happened", a.ID, f.ID)
				}
			}
			if !failed {
				t.Fatalf("nothing has failed after %s", a.ID)
			}
		}
		for _, h := range held {
			if slices.ContainsFunc(offers, func(o Offer) bool { return o.Undoes == h.Action }) || of[h.Action].ID.IsUndo() || h.Why == "" {
				t.Fatalf("%+v is held", h)
			}
		}
		// Whatever came of the offers, they are never made again, and the order in which the actions are known means nothing.
		again := Run{Actions: rapid.Permutation(slices.Clone(r.Actions)).Draw(t, "order"), FailedAt: r.FailedAt}
		same, sameHeld := Decide(again)
		if diff := cmp.Diff(offers, same) + cmp.Diff(held, sameHeld); diff != "" {
			t.Fatal(diff)
		}
		for i, a := range again.Actions {
			again.Actions[i].Offered = a.Offered || slices.ContainsFunc(offers, func(o Offer) bool { return o.Undoes == a.ID })
		}
		if twice, _ := Decide(again); len(twice) > 0 {
			t.Fatalf("offered twice: %+v", twice)
		}
	})
}
