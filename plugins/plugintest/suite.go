package plugintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// patience bounds each wait for a runtime that is slow, or broken.
	patience = 20 * time.Second
	// cancelTime is how long a runtime may take to end a run that is cancelled.
	cancelTime = 2 * time.Second
	// leaveTime is how long a process may take to leave after it was asked to.
	leaveTime = 2 * time.Second
)

// Options say what is tested, and how.
type Options struct {
	// Path is the runtime's executable, and Args are its arguments.
	Path string
	Args []string
	// Checks are the names of the checks to run, see [Names]; empty means all. The check "start" runs in any case.
	Checks []string
	// Patience bounds each wait for the runtime. Default: 20 s, which is as long as the host waits for a start.
	Patience time.Duration
	// Report is called with each result as soon as it is known; nil for none.
	Report func(Result)
}

// Result is what one check found.
type Result struct {
	// Check is the check's name, and Rule what it holds the runtime to.
	Check string `json:"check"`
	Rule  string `json:"rule"`
	OK    bool   `json:"ok"`
	// Failures are empty where OK is true.
	Failures []Failure `json:"failures,omitempty"`
	// Hint says what to do about the failures.
	Hint string `json:"hint,omitempty"`
	// Milliseconds is how long the check took.
	Milliseconds int64 `json:"milliseconds"`
}

// Failure is one thing that was not as it must be. Its texts are for people and hold what the runtime sent, of any form.
type Failure struct {
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

// check is one rule that every runtime keeps.
type check struct {
	name string
	rule string
	hint string
	run  func(*trial)
}

// checks returns all checks in the order in which they run: what is most likely to be missing comes first.
func checks() []check {
	return slices.Concat(startChecks, jobChecks, streamChecks, replayChecks, sizeChecks, endChecks, hostileChecks, leaveChecks)
}

// Names returns the names of all checks, in the order in which they run.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// Test runs the suite against an executable and returns one result for each check that was run. Where the executable does not
// start as a runtime, that is the only result. The error says which check does not exist, or is the cause of ctx's end,
// beside the results so far. No process is left when it returns.
func Test(ctx context.Context, o Options) ([]Result, error) {
	for _, name := range o.Checks {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no check %q; the checks are %s", name, strings.Join(Names(), ", "))
		}
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	s := &suite{options: o}
	defer s.stop()
	var results []Result
	for i, c := range checks() {
		if i > 0 && len(o.Checks) > 0 && !slices.Contains(o.Checks, c.name) {
			continue
		}
		r, ran := s.run(ctx, c)
		if !ran {
			return results, context.Cause(ctx)
		}
		results = append(results, r)
		if o.Report != nil {
			o.Report(r)
		}
		if i == 0 && !r.OK {
			break
		}
	}
	return results, nil
}

// suite keeps the process that the checks share.
type suite struct {
	options Options
	process *process
}

// run runs one check, and reports false where ctx ended first.
func (s *suite) run(ctx context.Context, c check) (Result, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := time.Now()
	t := &trial{ctx: ctx, suite: s}
	t.Go(func() {
		c.run(t)
	})
	t.running.Wait()
	if ctx.Err() == nil {
		t.Go(t.isAlive)
		t.running.Wait()
	}
	if ctx.Err() != nil {
		return Result{}, false
	}
	r := Result{Check: c.name, Rule: c.rule, OK: len(t.failures) == 0, Failures: t.failures, Milliseconds: time.Since(begin).Milliseconds()}
	if !r.OK {
		r.Hint = c.hint
		s.stop() // The next check gets a process that this one has not spoilt.
	}
	return r, true
}

func (s *suite) stop() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// T is what [Run] needs of a test. It is *testing.T, without a program that tests runtimes being one that holds Go's tests.
type T[S any] interface {
	Run(name string, test func(S)) bool
	Context() context.Context
	Errorf(format string, args ...any)
}

// Run runs the suite within a test, each check as a subtest: `plugintest.Run(t, "/path/to/runtime")`. Command is the
// executable and its arguments.
func Run[S T[S]](t S, command ...string) {
	if len(command) == 0 {
		t.Errorf("plugintest.Run: which runtime? give the path of its executable")
		return
	}
	s := &suite{options: Options{Path: command[0], Args: command[1:], Patience: patience}}
	defer s.stop()
	for i, c := range checks() {
		passed := t.Run(c.name, func(t S) {
			r, ran := s.run(t.Context(), c)
			if !ran {
				t.Errorf("%v", errors.Join(errors.New("the test ended first"), context.Cause(t.Context())))
			}
			for _, f := range r.Failures {
				t.Errorf("a runtime %s\nexpected: %s\ngot: %s\n%s", r.Rule, f.Expected, f.Got, r.Hint)
			}
		})
		if i == 0 && !passed {
			return
		}
	}
}
