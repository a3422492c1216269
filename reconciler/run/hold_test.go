package run

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mainstay-dev/mainstay/spec"
)

// talker asks a model for each turn with what it has said before.
func talker(turns int, thinks time.Duration) agentFunc {
	return func(a *talk) (string, error) {
		said := `"begin"`
		for range turns {
			var err error
			if said, err = a.ask(model(said)); err != nil {
				return "", err
			}
			time.Sleep(thinks)
		}
		return said, nil
	}
}

func TestATurnIsOneWrite(t *testing.T) {
	const turns = 5
	for name, tc := range map[string]struct {
		thinks time.Duration
		text   string
		want   []string
	}{
		"an agent that goes on at once": {0, "x", []string{"attempt", "request", "answer+request", "answer+request", "answer+request", "answer+request", "answer+finished"}},
		"an agent that takes its time": {time.Second, "x", []string{"attempt", "request", "answer", "request", "answer", "request", "answer", "request", "answer", "request",
			"answer", "finished"}},
		"answers that are large": {0, strings.Repeat("x", maxHeld), []string{"attempt", "request", "answer", "request", "answer", "request", "answer", "request", "answer", "request",
			"answer", "finished"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &writes{Log: newMemory()}
				w := newWorld(t, log, talker(turns, tc.thinks))
				w.serve = func(context.Context, Call, func(string)) (Reply, error) { return answered(tc.text), nil }
				w.limits.OutputBytes = 2 * maxHeld
				log.list = nil
				if sum := w.execute(); sum.Phase != spec.PhaseSucceeded || sum.Turns != turns {
					t.Errorf("%+v", sum)
				}
				if got, want := strings.Join(log.list, " "), strings.Join(tc.want, " "); got != want {
					t.Errorf("written:\n%s\nwant:\n%s", got, want)
				}
			})
		})
	}
}

// writes notes the types of the entries of each write.
type writes struct {
	Log
	list []string
}

func (w *writes) Append(ctx context.Context, run spec.RunID, after uint64, entries ...spec.Entry) (uint64, error) {
	var types []string
	for _, e := range entries {
		types = append(types, e.Type)
	}
	w.list = append(w.list, strings.Join(types, "+"))
	return w.Log.Append(ctx, run, after, entries...)
}

// A model never says the same twice. Wherever the process is killed, what the agent did must follow from what is recorded.
func TestNothingFollowsFromAnAnswerThatWasLost(t *testing.T) {
	lost := 0
	crashEverywhere(t, 1, func(t *testing.T, crash *crashing) (died bool) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newMemory(), talker(4, 0))
			served := 0
			w.serve = func(_ context.Context, call Call, _ func(string)) (Reply, error) {
				served++
				if w.asked[call.N] > 1 && !call.Restarted {
					t.Errorf("exchange %d is asked for the %d. time and not marked as restarted", call.N, w.asked[call.N])
				}
				return answered(fmt.Sprint("answer ", served)), nil
			}
			crash.Log = w.log
			sum := drive(t, w, crash)
			said := `"begin"`
			for _, e := range w.entries() {
				switch e.Type {
				case spec.EntryRequest:
					if want := string(model(said).Body); string(e.Request.Body) != want {
						t.Errorf("killed at write %d (after: %t): request %d is %s and must follow from %s", crash.at, crash.after, e.N, e.Request.Body, said)
					}
				case spec.EntryAnswer:
					said = string(e.Answer.Body)
				}
			}
			if sum.Outcome.Output != said || w.count(spec.EntryAnswer) != 4 {
				t.Errorf("killed at write %d (after: %t): the end is %+v, the last of %d answers %s", crash.at, crash.after, sum.Outcome, w.count(spec.EntryAnswer), said)
			}
			lost += served - 4
			died = crash.dead
		})
		return died
	})
	if lost == 0 {
		t.Error("no answer was lost anywhere: the test does not reach what it is for")
	}
}
