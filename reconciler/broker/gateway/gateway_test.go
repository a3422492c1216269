package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/gateway"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// try is what a model does when it is asked: it is silent for some time, says pieces one by one with a pause between them, and
// ends with an error or without one.
type try struct {
	silent, pause time.Duration
	pieces        []string
	err           error
}

// says is a try that answers.
func says(pieces ...string) try { return try{pieces: pieces} }

// fails is a try that gives no answer.
func fails(reason model.Reason, after time.Duration) try {
	return try{err: &model.Error{Reason: reason, RetryAfter: after, Err: errors.New("the server is " + string(reason))}}
}

// peers are the models of a test: each does one try after another, and its last one again and again.
type peers struct {
	mu    sync.Mutex
	tries map[string][]try
	asked []string
	// left counts requests that were left before their end.
	left atomic.Int32
}

func (p *peers) chat(ctx context.Context, m *spec.Model, _ model.Request, delta func(string)) (model.Answer, error) {
	p.mu.Lock()
	p.asked = append(p.asked, m.Name)
	all := p.tries[m.Name]
	now := all[0]
	if len(all) > 1 {
		p.tries[m.Name] = all[1:]
	}
	p.mu.Unlock()
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			p.left.Add(1)
			return ctx.Err()
		}
	}
	if err := wait(now.silent); err != nil {
		return model.Answer{}, err
	}
	for _, piece := range now.pieces {
		delta(piece)
		if err := wait(now.pause); err != nil {
			return model.Answer{}, err
		}
	}
	if now.err != nil {
		return model.Answer{}, &model.AskError{Model: m.Name, Err: now.err}
	}
	answer := model.Answer{Used: spec.Usage{Input: 100, Output: 10}}
	answer.Text, answer.Finish = strings.Join(now.pieces, ""), plugins.FinishStop
	return answer, nil
}

func (p *peers) gateway(spent func(context.Context, string, string, spec.AgentName) (spec.Usage, error)) *gateway.Gateway {
	return gateway.New(gateway.Options{Chat: p.chat, Spent: spent, Now: time.Now})
}

// declared makes models of specs by name; each knows those that its spec names.
func declared(t testing.TB, specs map[string]spec.ModelSpec) map[string]*spec.Model {
	t.Helper()
	all := map[string]*spec.Model{}
	for name, s := range specs {
		m := &spec.Model{Spec: s}
		m.Kind, m.Name, m.Digest = spec.KindModel, name, spec.DigestBytes([]byte(name+t.Name()))
		all[name] = m
	}
	for _, m := range all {
		for _, f := range m.Spec.Fallbacks {
			m.Others = append(m.Others, all[f.Model])
		}
		for _, s := range m.Spec.Split {
			if s.Model != m.Name {
				m.Others = append(m.Others, all[s.Model])
			}
		}
	}
	return all
}

func asking(run spec.RunID) gateway.Asking {
	return gateway.Asking{Run: run, Agent: &spec.Agent{Name: "triage"}, Task: "look", Turn: 1, Request: model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: strings.Repeat("x", 300)}}}}
}

const (
	second = spec.Duration(time.Second)
	minute = spec.Duration(time.Minute)
)

// TestWhoIsAskedAndWhen is what a model's spec makes of what its servers do.
func TestWhoIsAskedAndWhen(t *testing.T) {
	for _, test := range []struct {
		name  string
		specs map[string]spec.ModelSpec
		tries map[string][]try
		text  string
		fails string
		alone bool // Nobody reads along.
		asked []string
		took  time.Duration
		want  spec.ModelDecision
	}{{
		name:  "a model that answers is asked once",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{}}},
		tries: map[string][]try{"a": {says("yes", " sir")}},
		text:  "yes sir", asked: []string{"a"}, want: spec.ModelDecision{Model: "a"},
	}, {
		name:  "without retry it is asked once in any case",
		specs: map[string]spec.ModelSpec{"a": {}},
		tries: map[string][]try{"a": {fails(model.Unavailable, 0)}},
		fails: "ask model a: the server is unavailable", asked: []string{"a"},
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unavailable", Error: "the server is unavailable"}}},
	}, {
		name:  "a server is given the time that it asks for",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{Attempts: 2}}},
		tries: map[string][]try{"a": {fails(model.RateLimited, 30*time.Second), says("now")}},
		text:  "now", asked: []string{"a", "a"}, took: 30 * time.Second,
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "rateLimited", Error: "the server is rateLimited"}}},
	}, {
		name:  "one that asks for more than the longest wait is not asked again",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{MaxBackoff: 10 * second}}},
		tries: map[string][]try{"a": {fails(model.RateLimited, 30*time.Second)}},
		fails: "ask model a: the server is rateLimited", asked: []string{"a"},
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "rateLimited", Error: "the server is rateLimited"}}},
	}, {
		name:  "what is refused is not sent again",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{}}},
		tries: map[string][]try{"a": {fails(model.Unauthorized, 0)}},
		fails: "ask model a: the server is unauthorized", asked: []string{"a"},
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unauthorized", Error: "the server is unauthorized"}}},
	}, {
		name: "fallbacks are asked in their order, as far as they are for the case",
		specs: map[string]spec.ModelSpec{
			"a": {Fallbacks: []spec.Fallback{{Model: "b", On: []string{"rateLimited"}}, {Model: "c", On: []string{"unavailable"}}, {Model: "d"}}},
			"b": {}, "c": {}, "d": {},
		},
		tries: map[string][]try{"a": {fails(model.OutOfMemory, 0)}, "c": {fails(model.ContextExceeded, 0)}, "d": {says("I do")}},
		text:  "I do", asked: []string{"a", "c", "d"},
		want: spec.ModelDecision{Model: "d", Why: "fallback after outOfMemory", Attempts: []spec.ModelAttempt{
			{Model: "a", Reason: "outOfMemory", Error: "the server is outOfMemory"}, {Model: "c", Reason: "contextExceeded", Error: "the server is contextExceeded"},
		}},
	}, {
		name:  "where all fail both are told of, and a later try may mend it if it may mend one",
		specs: map[string]spec.ModelSpec{"a": {Fallbacks: []spec.Fallback{{Model: "b"}}}, "b": {}},
		tries: map[string][]try{"a": {fails(model.Missing, 0)}, "b": {fails(model.RateLimited, time.Minute)}},
		fails: "ask model a: the server is missing; asked instead: ask model b: the server is rateLimited", asked: []string{"a", "b"},
		want: spec.ModelDecision{Model: "b", Why: "fallback after missing", Attempts: []spec.ModelAttempt{
			{Model: "a", Reason: "missing", Error: "the server is missing"}, {Model: "b", Reason: "rateLimited", Error: "the server is rateLimited"},
		}},
	}, {
		name: "a fallback has fallbacks of its own, and nobody is asked twice",
		specs: map[string]spec.ModelSpec{
			"a": {Fallbacks: []spec.Fallback{{Model: "b"}, {Model: "c"}}}, "b": {Fallbacks: []spec.Fallback{{Model: "c"}}}, "c": {},
		},
		tries: map[string][]try{"a": {fails(model.TimedOut, 0)}, "b": {fails(model.TimedOut, 0)}, "c": {fails(model.TimedOut, 0)}},
		fails: "ask model a: the server is timedOut; asked instead: ask model b: the server is timedOut; asked instead: ask model c: the server is timedOut",
		asked: []string{"a", "b", "c"},
		want: spec.ModelDecision{Model: "c", Why: "fallback after timedOut", Attempts: []spec.ModelAttempt{
			{Model: "a", Reason: "timedOut", Error: "the server is timedOut"}, {Model: "b", Reason: "timedOut", Error: "the server is timedOut"}, {Model: "c", Reason: "timedOut", Error: "the server is timedOut"},
		}},
	}, {
		name:  "an answer that breaks off where a person has read some of it is left to the run",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{}, Fallbacks: []spec.Fallback{{Model: "b"}}}, "b": {}},
		tries: map[string][]try{"a": {{pieces: []string{"well"}, err: fails(model.Unavailable, 0).err}}},
		fails: "ask model a: the server is unavailable", asked: []string{"a"}, text: "well",
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unavailable", Error: "the server is unavailable", Usage: &spec.Usage{Input: 105, Output: 1}, Estimated: true}}},
	}, {
		name:  "one that breaks off before anybody has read any of it is not",
		specs: map[string]spec.ModelSpec{"a": {Fallbacks: []spec.Fallback{{Model: "b"}}}, "b": {}},
		tries: map[string][]try{"a": {{pieces: []string{""}, err: fails(model.Unavailable, 0).err}}, "b": {says("yes")}},
		text:  "yes", asked: []string{"a", "b"},
		want: spec.ModelDecision{Model: "b", Why: "fallback after unavailable", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unavailable", Error: "the server is unavailable", Usage: &spec.Usage{Input: 105}, Estimated: true}}},
	}, {
		name:  "nor is it where nobody reads along, and it is sent again first",
		specs: map[string]spec.ModelSpec{"a": {Retry: &spec.Retry{Attempts: 2}}},
		tries: map[string][]try{"a": {{pieces: []string{"wel"}, err: fails(model.Unavailable, 0).err}, says("yes")}},
		alone: true, asked: []string{"a", "a"}, took: 750 * time.Millisecond,
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unavailable", Error: "the server is unavailable", Usage: &spec.Usage{Input: 105, Output: 1}, Estimated: true}}},
	}, {
		name:  "a model that is silent too long is left",
		specs: map[string]spec.ModelSpec{"a": {Timeouts: &spec.ModelTimeouts{FirstToken: 2 * second}, Fallbacks: []spec.Fallback{{Model: "b", On: []string{"timedOut"}}}}, "b": {}},
		tries: map[string][]try{"a": {{silent: time.Hour}}, "b": {says("yes")}},
		text:  "yes", asked: []string{"a", "b"}, took: 2 * time.Second,
		want: spec.ModelDecision{Model: "b", Why: "fallback after timedOut", Attempts: []spec.ModelAttempt{
			{Model: "a", Reason: "timedOut", Error: "it has said nothing for 2s, which spec.timeouts.firstToken allows", Usage: &spec.Usage{Input: 105}, Estimated: true},
		}},
	}, {
		name:  "one whose answer takes too long is too",
		specs: map[string]spec.ModelSpec{"a": {Timeouts: &spec.ModelTimeouts{FirstToken: 2 * second, Total: 5 * second}}},
		tries: map[string][]try{"a": {{pieces: []string{"a", "b", "c"}, pause: 2 * time.Second}}},
		fails: "ask model a: its answer takes longer than 5s, which spec.timeouts.total allows", text: "abc", asked: []string{"a"}, took: 5 * time.Second,
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "timedOut", Error: "its answer takes longer than 5s, which spec.timeouts.total allows", Usage: &spec.Usage{Input: 105, Output: 1}, Estimated: true}}},
	}, {
		name:  "a slow model is asked twice, and the answer that begins first is taken",
		specs: map[string]spec.ModelSpec{"a": {Hedge: &spec.Hedge{After: 3 * second}}},
		tries: map[string][]try{"a": {{silent: 10 * time.Second, pieces: []string{"late"}}, {silent: time.Second, pieces: []string{"so", "on"}, pause: 20 * time.Second}}},
		text:  "soon", asked: []string{"a", "a"}, took: 44 * time.Second,
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "slower", Error: "another request was faster", Usage: &spec.Usage{Input: 105}, Estimated: true}}},
	}, {
		name:  "one that thinks aloud is not slow",
		specs: map[string]spec.ModelSpec{"a": {Hedge: &spec.Hedge{After: 3 * second}}},
		tries: map[string][]try{"a": {{silent: time.Second, pieces: []string{"", "", "so"}, pause: 10 * time.Second}}},
		text:  "so", asked: []string{"a"}, took: 31 * time.Second, want: spec.ModelDecision{Model: "a"},
	}, {
		name:  "a second request does not wait for its turn, and the first is waited for",
		specs: map[string]spec.ModelSpec{"a": {Hedge: &spec.Hedge{After: 3 * second}, Rate: &spec.Rate{Concurrent: 1}}},
		tries: map[string][]try{"a": {{silent: 10 * time.Second, pieces: []string{"late"}}}},
		text:  "late", asked: []string{"a"}, took: 10 * time.Second, want: spec.ModelDecision{Model: "a"},
	}, {
		name:  "one that fails at once is not slow, and what follows does not wait",
		specs: map[string]spec.ModelSpec{"a": {Hedge: &spec.Hedge{After: 30 * second, Most: 3}, Fallbacks: []spec.Fallback{{Model: "b", On: []string{"rateLimited"}}}}, "b": {}},
		tries: map[string][]try{"a": {fails(model.RateLimited, 0)}, "b": {says("yes")}},
		text:  "yes", asked: []string{"a", "b"}, took: 0,
		want: spec.ModelDecision{Model: "b", Why: "fallback after rateLimited", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "rateLimited", Error: "the server is rateLimited"}}},
	}, {
		name:  "a request that fails for good ends those beside it",
		specs: map[string]spec.ModelSpec{"a": {Hedge: &spec.Hedge{After: 3 * second, Most: 3}}},
		tries: map[string][]try{"a": {{silent: 10 * time.Second, pieces: []string{"late"}}, fails(model.Unauthorized, 0)}},
		fails: "ask model a: the server is unauthorized", asked: []string{"a", "a"}, took: 3 * time.Second,
		want: spec.ModelDecision{Model: "a", Attempts: []spec.ModelAttempt{{Model: "a", Reason: "unauthorized", Error: "the server is unauthorized"},
			{Model: "a", Reason: "slower", Error: "another request was faster", Usage: &spec.Usage{Input: 105}, Estimated: true}}},
	}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peers{tries: test.tries}
				began := time.Now()
				var text strings.Builder
				delta := func(piece string) { text.WriteString(piece) }
				if test.alone {
					delta = nil
				}
				_, decision, err := p.gateway(nil).Ask(t.Context(), declared(t, test.specs)["a"], asking("r"), delta)
				took := time.Since(began)
				if said := fmt.Sprint(err); test.fails == "" && err != nil || test.fails != "" && said != test.fails {
					t.Errorf("got %v, want %q", err, test.fails)
				}
				if text.String() != test.text {
					t.Errorf("the text is %q, want %q", text.String(), test.text)
				}
				if !slices.Equal(p.asked, test.asked) {
					t.Errorf("asked were %v, want %v", p.asked, test.asked)
				}
				if took < test.took || took > 2*test.took {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				if diff := cmp.Diff(test.want, *decision); diff != "" {
					t.Error(diff)
				}
				synctest.Wait() // Whoever was left has gone: a bubble ends when all in it has.
			})
		})
	}
}

// TestBothCanBeMendedLater checks what a run makes of two models that failed.
func TestBothCanBeMendedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		specs := map[string]spec.ModelSpec{"a": {Fallbacks: []spec.Fallback{{Model: "b"}}}, "b": {}}
		for _, test := range []struct {
			a, b   try
			later  bool
			reason model.Reason
			after  time.Duration
		}{
			{fails(model.Refused, 0), fails(model.Missing, 0), false, model.Refused, 0},
			{fails(model.Refused, 0), fails(model.RateLimited, time.Minute), true, model.RateLimited, time.Minute},
			{fails(model.RateLimited, time.Hour), fails(model.RateLimited, time.Minute), true, model.RateLimited, time.Minute},
			{fails(model.RateLimited, time.Minute), fails(model.Refused, 0), true, model.RateLimited, time.Minute},
		} {
			p := &peers{tries: map[string][]try{"a": {test.a}, "b": {test.b}}}
			_, _, err := p.gateway(nil).Ask(t.Context(), declared(t, specs)["a"], asking("r"), nil)
			e, ok := errors.AsType[*model.Error](err)
			if !ok || model.Later(err) != test.later || e.Reason != test.reason || e.RetryAfter != test.after {
				t.Errorf("%v and %v: %+v", test.a.err, test.b.err, e)
			}
		}
	})
}

// TestWhoeverLeavesIsLeftAlone checks that a question that is given up ends all that was sent for it.
func TestWhoeverLeavesIsLeftAlone(t *testing.T) {
	for name, s := range map[string]spec.ModelSpec{
		"while it is asked": {}, "while it waits": {Retry: &spec.Retry{Backoff: minute}}, "with two on the way": {Hedge: &spec.Hedge{After: second}},
		"while it is its turn": {Rate: &spec.Rate{Concurrent: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := try{silent: time.Hour}
				if s.Retry != nil {
					first = fails(model.Unavailable, 0)
				}
				p := &peers{tries: map[string][]try{"a": {first}}}
				g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": s})["a"]
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						if _, _, err := g.Ask(ctx, m, asking("r"), nil); !errors.Is(err, context.Canceled) {
							t.Errorf("got %v", err)
						}
					})
				}
				time.Sleep(5 * time.Second)
				cancel()
				wg.Wait()
				synctest.Wait()
			})
		})
	}
}

func TestABreakerLeavesAServerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{tries: map[string][]try{"a": {fails(model.Unavailable, 0), fails(model.TimedOut, 0), fails(model.Unavailable, 0), says("yes")}}}
		g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": {Breaker: &spec.Breaker{Failures: 2, Cooldown: minute}, Retry: &spec.Retry{Attempts: 1}}})["a"]
		ask := func() error { _, _, err := g.Ask(t.Context(), m, asking("r"), nil); return err }
		for range 2 {
			if err := ask(); !model.Later(err) {
				t.Fatal(err)
			}
		}
		err := ask()
		e, _ := errors.AsType[*model.Error](err)
		if len(p.asked) != 2 || e == nil || e.RetryAfter != time.Minute || err.Error() != "ask model a: it is left alone for 1m0s, because it failed 2 times in a row" {
			t.Fatalf("asked %v, %v", p.asked, err)
		}
		time.Sleep(time.Minute)
		if err := ask(); err == nil || len(p.asked) != 3 { // One is let through, and fails.
			t.Fatal(p.asked, err)
		}
		if err := ask(); err == nil || len(p.asked) != 3 {
			t.Fatal(p.asked, err)
		}
		time.Sleep(time.Minute)
		for range 2 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestABreakerCountsAnswersThatBreakOff checks that a server which begins each answer and ends none is left alone, too.
func TestABreakerCountsAnswersThatBreakOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := fails(model.Unavailable, 0)
		off.pieces = []string{"half"}
		p := &peers{tries: map[string][]try{"a": {off, says("yes"), off, off, off, says("yes")}}}
		g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": {Breaker: &spec.Breaker{Failures: 2, Cooldown: minute}}})["a"]
		for i, want := range []int{1, 2, 3, 4, 4} {
			if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); (err == nil) != (i == 1) || len(p.asked) != want {
				t.Fatalf("question %d: asked %d times, want %d: %v", i+1, len(p.asked), want, err)
			}
		}
		time.Sleep(time.Minute)
		for _, want := range []int{5, 5} { // One is let through, and breaks off.
			if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); err == nil || len(p.asked) != want {
				t.Fatalf("asked %d times, want %d: %v", len(p.asked), want, err)
			}
		}
		time.Sleep(time.Minute)
		if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWhoeverLeavesDoesNotCloseABreaker checks that a server is not trusted because the one request that was let through was left.
func TestWhoeverLeavesDoesNotCloseABreaker(t *testing.T) {
	for name, leaving := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"a deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
		"a cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, errors.New("somebody cancels the run"))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &peers{tries: map[string][]try{"a": {fails(model.Unavailable, 0), {silent: time.Hour}}}}
			g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": {Breaker: &spec.Breaker{Failures: 1, Cooldown: minute}}})["a"]
			g.Ask(t.Context(), m, asking("r"), nil)
			time.Sleep(time.Minute)
			ctx, cancel := leaving(t.Context())
			defer cancel()
			done := make(chan error)
			go func() { _, _, err := g.Ask(ctx, m, asking("r"), nil); done <- err }()
			synctest.Wait()
			_, _, err := g.Ask(t.Context(), m, asking("r"), nil)
			if want := "ask model a: it is left alone until another request has shown that it works again, because it failed 1 times in a row"; err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); err == nil || len(p.asked) != 2 {
				t.Errorf("%s: asked %d times: %v", name, len(p.asked), err)
			}
		})
	}
}

// TestARateBelievesAServerOnlySoFar checks that a server that tells of absurdly many tokens does not block its model for good.
func TestARateBelievesAServerOnlySoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := func(context.Context, *spec.Model, model.Request, func(string)) (model.Answer, error) {
			return model.Answer{Used: spec.Usage{Input: 1 << 40}}, nil
		}
		g := gateway.New(gateway.Options{Chat: chat, Now: time.Now})
		m := declared(t, map[string]spec.ModelSpec{"a": {Rate: &spec.Rate{TokensPerMinute: 1000}}})["a"]
		ask := func() error { _, _, err := g.Ask(t.Context(), m, asking("r"), nil); return err }
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		if err := ask(); model.ReasonOf(err) != model.RateLimited {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAFallbackForAllIsAskedAtOnce checks that a fallback that names no case is one for a rate that is reached.
func TestAFallbackForAllIsAskedAtOnce(t *testing.T) {
	for _, on := range [][]string{nil, {"failed", "rateLimited"}, {"failed"}} {
		synctest.Test(t, func(t *testing.T) {
			p := &peers{tries: map[string][]try{"a": {says("a")}, "b": {says("b")}}}
			g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": {
				Rate: &spec.Rate{RequestsPerMinute: 1}, Fallbacks: []spec.Fallback{{Model: "b", On: on}},
			}, "b": {}})["a"]
			want, longest := []string{"a", "b"}, time.Duration(0)
			if slices.Equal(on, []string{"failed"}) {
				want, longest = []string{"a", "a"}, time.Minute
			}
			start := time.Now()
			for range want {
				if _, _, err := g.Ask(t.Context(), m, asking("r"), nil); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); !slices.Equal(p.asked, want) || took > longest {
				t.Errorf("on %v: asked %v in %s, want %v in at most %s", on, p.asked, took, want, longest)
			}
		})
	}
}

// TestASplitIsStickyAndFair checks that a run keeps its model, and that many runs are shared out by weight.
func TestASplitIsStickyAndFair(t *testing.T) {
	specs := map[string]spec.ModelSpec{"a": {Split: []spec.Share{{Model: "a", Weight: 3}, {Model: "b", Weight: 1}}}, "b": {}}
	p := &peers{tries: map[string][]try{"a": {says("a")}, "b": {says("b")}}}
	g, models := p.gateway(nil), declared(t, specs)
	got := map[string]int{}
	for i := range 2000 {
		run := spec.RunID(fmt.Sprintf("run-%d", i))
		var names []string
		for range 2 {
			_, d, err := g.Ask(t.Context(), models["a"], asking(run), nil)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, d.Model)
			if want := map[string]string{"a": "", "b": "split of a"}[d.Model]; d.Why != want {
				t.Fatalf("%s because of %q", d.Model, d.Why)
			}
		}
		if names[0] != names[1] {
			t.Fatalf("%s is asked %v", run, names)
		}
		got[names[0]]++
	}
	if got["b"] < 400 || got["b"] > 600 {
		t.Errorf("shares are %v", got)
	}
}

func TestABudgetIsKept(t *testing.T) {
	at := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	price := &spec.Price{Input: 10_000}
	for _, test := range []struct {
		name   string
		budget spec.Budget
		ran    spec.Usage
		all    spec.Usage
		agent  spec.Usage
		says   string
	}{
		{name: "nothing is used", budget: spec.Budget{TokensPerRun: 1, TokensPerDay: 1, TokensPerAgentDay: 1, CostPerRun: 1, CostPerDay: 1, CostPerAgentDay: 1}},
		{name: "the run's tokens", budget: spec.Budget{TokensPerRun: 100}, ran: spec.Usage{Input: 90, Output: 10}, says: "the budget of the run is used up, 100 of 100 tokens: raise spec.budget.tokensPerRun of Model/a"},
		{name: "the run's money", budget: spec.Budget{CostPerRun: 1.5}, ran: spec.Usage{Cost: 1.6}, says: "1.6 of 1.5 USD: raise spec.budget.costPerRun"},
		{name: "not yet", budget: spec.Budget{TokensPerRun: 100, TokensPerDay: 200}, ran: spec.Usage{Input: 99}, all: spec.Usage{Input: 199}, agent: spec.Usage{Input: 1000}},
		{name: "the day's tokens", budget: spec.Budget{TokensPerDay: 200}, all: spec.Usage{Output: 300}, says: "the budget of the day is used up, 300 of 200 tokens"},
		{name: "the day's money", budget: spec.Budget{CostPerDay: 2}, all: spec.Usage{Cost: 2}, says: "2 of 2 USD: raise spec.budget.costPerDay"},
		{name: "the agent's tokens", budget: spec.Budget{TokensPerDay: 200, TokensPerAgentDay: 50}, all: spec.Usage{Output: 60}, agent: spec.Usage{Output: 50}, says: "the budget of the day of agent triage is used up, 50 of 50 tokens"},
		{name: "the agent's money", budget: spec.Budget{CostPerAgentDay: 2}, agent: spec.Usage{Cost: 2}, says: "spec.budget.costPerAgentDay"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &peers{tries: map[string][]try{"a": {says("yes")}, "b": {says("instead")}}}
			g := gateway.New(gateway.Options{Chat: p.chat, Now: func() time.Time { return at }, Spent: func(_ context.Context, day, name string, agent spec.AgentName) (spec.Usage, error) {
				if day != "2026-11-28" || name != "a" {
					return spec.Usage{}, nil
				}
				return map[spec.AgentName]spec.Usage{"": test.all, "triage": test.agent}[agent], nil
			}})
			models := declared(t, map[string]spec.ModelSpec{
				"a": {Price: price, Budget: &test.budget, Fallbacks: []spec.Fallback{{Model: "b", On: []string{"unavailable"}}}},
				"b": {},
			})
			a := asking("r")
			a.Spent = []spec.Spent{{Day: "2026-11-27", Model: "a", Usage: test.ran}, {Day: "2026-11-28", Model: "b", Usage: spec.Usage{Input: 1e6, Cost: 1e6}}}
			_, _, err := g.Ask(t.Context(), models["a"], a, nil)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || model.ReasonOf(err) != model.BudgetExceeded || model.Later(err) || len(p.asked) > 0 {
				t.Fatalf("got %v, asked %v", err, p.asked)
			}
			if day := !strings.HasPrefix(test.name, "the run's"); strings.Contains(err.Error(), "wait until it is full again") != day {
				t.Errorf("a run's budget is never full again: %v", err)
			}
			models["a"].Spec.Fallbacks[0].On = []string{"budgetExceeded"}
			_, d, err := g.Ask(t.Context(), models["a"], a, nil)
			if err != nil || d.Model != "b" || d.Why != "fallback after budgetExceeded" {
				t.Error(d, err)
			}
		})
	}
}

// TestWhatCannotBeCountedIsNotSpent checks that a store that cannot be read lets nothing through.
func TestWhatCannotBeCountedIsNotSpent(t *testing.T) {
	p := &peers{tries: map[string][]try{"a": {says("yes")}}}
	g := p.gateway(func(context.Context, string, string, spec.AgentName) (spec.Usage, error) {
		return spec.Usage{}, errors.New("the disk is gone")
	})
	_, _, err := g.Ask(t.Context(), declared(t, map[string]spec.ModelSpec{"a": {Budget: &spec.Budget{TokensPerDay: 1}}})["a"], asking("r"), nil)
	if !model.Later(err) || !strings.Contains(err.Error(), "the disk is gone") || len(p.asked) > 0 {
		t.Error(err)
	}
}

func TestACacheAnswersWhatWasAnswered(t *testing.T) {
	for scope, shared := range map[string]map[string]bool{
		"run": {"same": true}, "": {"same": true, "run": true}, "agent": {"same": true, "run": true}, "fleet": {"same": true, "run": true, "agent": true},
	} {
		for _, other := range []string{"same", "run", "agent", "question", "late"} {
			t.Run(scope+" "+other, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := &peers{tries: map[string][]try{"a": {says("first "), says("second ")}}}
					g := p.gateway(nil)
					m := declared(t, map[string]spec.ModelSpec{"a": {Cache: &spec.AnswerCache{TTL: minute, Scope: scope}}})["a"]
					var text strings.Builder
					ask := func(a gateway.Asking) (model.Answer, *spec.ModelDecision) {
						got, d, err := g.Ask(t.Context(), m, a, func(piece string) { text.WriteString(piece) })
						if err != nil {
							t.Fatal(err)
						}
						return got, d
					}
					ask(asking("r"))
					a := asking("r")
					switch other {
					case "run":
						a.Run = "s"
					case "agent":
						a.Run, a.Agent = "s", &spec.Agent{Name: "other"}
					case "question":
						a.Request = model.Request{}
					case "late":
						time.Sleep(time.Minute)
					}
					got, d := ask(a)
					if shared[other] {
						if got.Text != "first " || got.Used != (spec.Usage{}) || got.Usage != (plugins.Usage{}) || d.Why != "cached" || text.String() != "first first " {
							t.Errorf("got %+v, %+v, %q", got, d, text.String())
						}
					} else if got.Text != "second " || d.Why != "" {
						t.Errorf("got %+v, %+v", got, d)
					}
				})
			})
		}
	}
}

// TestRatesAreKept checks how many requests are under way, or are sent within a minute.
func TestRatesAreKept(t *testing.T) {
	for _, test := range []struct {
		name   string
		spec   spec.ModelSpec
		agents []spec.AgentName
		took   time.Duration
		failed int
	}{
		{name: "as many at once as may be", spec: spec.ModelSpec{Rate: &spec.Rate{Concurrent: 2}}, took: 20 * time.Second},
		{name: "more than can be waited for", spec: spec.ModelSpec{Rate: &spec.Rate{Concurrent: 1}, Fallbacks: []spec.Fallback{{Model: "b", On: []string{"rateLimited"}}}}, took: 10 * time.Second, failed: 3},
		{name: "requests in a minute", spec: spec.ModelSpec{Rate: &spec.Rate{RequestsPerMinute: 2}}, took: 70 * time.Second},
		{name: "tokens in a minute", spec: spec.ModelSpec{Rate: &spec.Rate{TokensPerMinute: 440}}, took: 10 * time.Second},
		{name: "each agent", spec: spec.ModelSpec{AgentRate: &spec.Rate{Concurrent: 1}}, agents: []spec.AgentName{"one", "two"}, took: 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peers{tries: map[string][]try{"a": {{silent: 10 * time.Second, pieces: []string{"yes"}}}, "b": {says("instead")}}}
				g, m := p.gateway(nil), declared(t, map[string]spec.ModelSpec{"a": test.spec, "b": {}})["a"]
				began := time.Now()
				var wg sync.WaitGroup
				var failed atomic.Int32
				for i := range 4 {
					wg.Go(func() {
						a := asking(spec.RunID(fmt.Sprint(i)))
						if test.agents != nil {
							a.Agent = &spec.Agent{Name: test.agents[i%len(test.agents)]}
						}
						_, d, err := g.Ask(t.Context(), m, a, nil)
						if err != nil {
							t.Error(err)
						} else if d.Model == "b" {
							failed.Add(1)
						}
					})
				}
				wg.Wait()
				if took := time.Since(began); took != test.took || int(failed.Load()) != test.failed {
					t.Errorf("it took %s, want %s; %d failed, want %d", took, test.took, failed.Load(), test.failed)
				}
			})
		})
	}
}

// TestNoQuestionIsLostOrAnsweredTwice asks in many ways at once what happens at random: every question ends with the text of one
// answer, whole and in order, or with an error, and nobody is left waiting.
func TestNoQuestionIsLostOrAnsweredTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		chance := func(name string) bool { return rapid.Bool().Draw(r, name) }
		seconds := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(r, name)) * time.Second
		}
		specs, tries := map[string]spec.ModelSpec{}, map[string][]try{}
		names := []string{"a", "b", "c"}
		for i, name := range names {
			var s spec.ModelSpec
			if chance("retry") {
				s.Retry = &spec.Retry{Attempts: rapid.IntRange(1, 3).Draw(r, "attempts"), Backoff: second, MaxBackoff: 10 * second}
			}
			if chance("breaker") {
				s.Breaker = &spec.Breaker{Failures: 1 + rapid.IntRange(0, 2).Draw(r, "failures")}
			}
			if chance("hedge") {
				s.Hedge = &spec.Hedge{After: 2 * second, Most: 3}
			}
			if chance("timeouts") {
				s.Timeouts = &spec.ModelTimeouts{FirstToken: 4 * second, Total: 20 * second}
			}
			if chance("rate") {
				s.Rate = &spec.Rate{Concurrent: 1, RequestsPerMinute: 3}
			}
			for _, other := range names[i+1:] {
				if chance("fallback") {
					s.Fallbacks = append(s.Fallbacks, spec.Fallback{Model: other})
				}
			}
			specs[name] = s
			for n := range 6 {
				one := try{silent: seconds("silent", 6), pause: seconds("pause", 3)}
				for p := range rapid.IntRange(0, 3).Draw(r, "pieces") {
					one.pieces = append(one.pieces, fmt.Sprintf("%s%d.%d ", name, n, p))
				}
				if reasons := []model.Reason{"", model.Unavailable, model.RateLimited, model.Refused}; chance("fails") {
					if reason := rapid.SampledFrom(reasons).Draw(r, "reason"); reason != "" {
						one.err = &model.Error{Reason: reason, Err: errors.New(string(reason))}
					}
				}
				tries[name] = append(tries[name], one)
			}
		}
		synctest.Test(t, func(t *testing.T) {
			p := &peers{tries: maps.Clone(tries)}
			g, models := p.gateway(nil), declared(t, specs)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					var text strings.Builder
					got, d, err := g.Ask(t.Context(), models["a"], asking(spec.RunID(fmt.Sprint(i))), func(piece string) { text.WriteString(piece) })
					if err == nil && got.Text != text.String() {
						t.Errorf("the answer is %q and was shown as %q: %+v", got.Text, text.String(), d)
					}
					if err != nil && len(d.Attempts) == 0 {
						t.Errorf("%v, and nothing was tried", err)
					}
				})
			}
			wg.Wait()
			synctest.Wait()
		})
		if t.Failed() {
			r.FailNow()
		}
	})
}

// BenchmarkGateway is what deciding costs, per request and per piece of text, beside a model that answers at once.
func BenchmarkGateway(b *testing.B) {
	pieces := slices.Repeat([]string{"word "}, 1000)
	chat := func(_ context.Context, _ *spec.Model, _ model.Request, delta func(string)) (model.Answer, error) {
		for _, piece := range pieces {
			delta(piece)
		}
		return model.Answer{ModelAnswer: plugins.ModelAnswer{Text: "", Finish: plugins.FinishStop}}, nil
	}
	all := spec.ModelSpec{
		Retry: &spec.Retry{}, Breaker: &spec.Breaker{}, Hedge: &spec.Hedge{After: minute}, Timeouts: &spec.ModelTimeouts{FirstToken: minute, Total: minute},
		Rate: &spec.Rate{Concurrent: 100, RequestsPerMinute: 1e6}, Budget: &spec.Budget{TokensPerRun: 1e6, TokensPerDay: 1e6},
	}
	for name, of := range map[string]*spec.ModelSpec{"bare": nil, "plain": {}, "everything": &all} {
		for kind, n := range map[string]int{"request": 1, "1000 pieces": 1000} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				defer func(all []string) { pieces = all }(pieces)
				pieces = pieces[:n]
				g := gateway.New(gateway.Options{Chat: chat, Now: time.Now})
				var m *spec.Model
				if of != nil {
					m = declared(b, map[string]spec.ModelSpec{"a": *of})["a"]
				}
				runtime.GC()
				for b.Loop() {
					var err error
					if of == nil {
						_, err = chat(b.Context(), nil, model.Request{}, func(string) {})
					} else {
						_, _, err = g.Ask(b.Context(), m, asking("r"), func(string) {})
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
