package plugintest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// trial is one check being run. Its methods may be called from the goroutines that [trial.Go] starts.
type trial struct {
	ctx     context.Context
	suite   *suite
	running sync.WaitGroup

	mu       sync.Mutex
	failures []Failure
}

// maxFailures is how many failures of one check are kept: the rest say the same.
const maxFailures = 5

// maxText is how much of what a runtime sent is shown, in bytes.
const maxText = 400

// fail notes a failure and goes on.
func (t *trial) fail(expected, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) < maxFailures {
		t.failures = append(t.failures, Failure{Expected: expected, Got: shorten(fmt.Sprintf(format, args...), 2*maxText)})
	}
}

// stop notes a failure and ends the goroutine: what would follow makes no sense any more.
func (t *trial) stop(expected, format string, args ...any) {
	t.fail(expected, format, args...)
	runtime.Goexit()
}

// Go runs a part of the check at the same time.
func (t *trial) Go(part func()) { t.running.Go(part) }

// patience is how long the check waits for one thing.
func (t *trial) patience() time.Duration { return t.suite.options.Patience }

// process returns the runtime's process, which is started where there is none.
func (t *trial) process() *process {
	t.mu.Lock()
	p := t.suite.process
	t.mu.Unlock()
	if p != nil {
		return p
	}
	p, f := start(t.ctx, t.suite.options)
	if f != nil {
		t.stop(f.Expected, "%s", f.Got)
	}
	t.mu.Lock()
	t.suite.process = p
	t.mu.Unlock()
	return p
}

// restart ends the process, as a host that dies does, and starts another.
func (t *trial) restart() {
	t.suite.stop()
	t.process()
}

// isAlive checks that the process has lived through what was done to it, and still answers.
func (t *trial) isAlive() {
	p := t.suite.process
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	const expected = "a process that lives on and answers Describe, whatever becomes of one run"
	if _, err := p.runtime.Describe(ctx, &pluginpb.DescribeRequest{}); err != nil && t.ctx.Err() == nil {
		t.fail(expected, "%s", p.why(err))
	}
}

// shorten cuts the middle out of a text that is too long to be shown.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s … (%d bytes left out) … %s", text[:most/2], len(text)-most, text[len(text)-most/2:])
}
