package plugintest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// endChecks are about runs that end before their output.
var endChecks = []check{
	{
		"cancel", "ends a cancelled run with a Failure within two seconds, whatever it waits for",
		"When Cancel comes, stop waiting for answers, send a Failure and end the stream.", cancelled,
	}, {
		"half-close", "ends a run whose host sends no more",
		"When the host's side of the stream ends, no answer can come: give the run up.", halfClosed,
	}, {
		"cut", "frees everything of runs whose streams are cut",
		"When the stream ends, end the run: stop its work, drop its conversation. The host cuts streams at deadlines and when it stops.", cut,
	},
}

func cancelled(t *trial) {
	look := looks(1)
	for _, c := range []struct {
		when    string
		prepare func(p *peer)
	}{
		{"at once", func(*peer) {}},
		{"while it waits for the model", func(p *peer) {
			var asked plugins.ModelRequest
			p.asks(plugins.KindModel, &asked)
		}},
		{"while it waits for a tool", func(p *peer) { p.turn(look...); p.called(look...) }},
		{"while it waits for a tool, after another was answered", func(p *peer) {
			two := looks(2)
			p.turn(two...)
			p.answer(p.called(two...)[0], plugins.ToolResult{Text: "seen"})
		}},
		{"while 64 calls wait and more are to come", func(p *peer) {
			many := looks(2 * plugins.MaxOutstanding)
			p.turn(many...)
			p.calledSome(plugins.MaxOutstanding, many)
		}},
	} {
		p := t.begin("run", "Look.")
		c.prepare(p)
		p.cancel("the agent was replaced")
		begin := time.Now()
		p.cancel("and once more")
		expected := "a Failure and the end of the stream within 2s of Cancel, sent " + c.when
		for ended := false; !ended; {
			m, err := p.recv(expected)
			switch {
			case err != nil:
				p.stop(expected, "%s", p.on.why(err))
			case m.GetRequest() != nil: // It was on its way when Cancel came.
			case m.GetFailure() == nil:
				p.stop(expected, "%s", describeEnd(m))
			default:
				ended = true
			}
		}
		p.closed()
		if took := time.Since(begin); took > cancelTime {
			t.fail(expected, "the end after %s", took.Round(time.Millisecond))
		}
		p.cut()
	}
}

func halfClosed(t *trial) {
	p := t.begin("run", "Look.")
	defer p.cut()
	look := looks(1)
	p.turn(look...)
	p.called(look...)
	_ = p.stream.CloseSend()
	p.endsSomehow("the end of the host's side of the stream", "")
}

// What a run holds that is cut off, in bytes, how many of them are a round, and how many rounds there are at most.
const (
	cutHolds  = 512 << 10
	cutRuns   = 60
	cutRounds = 6
)

// cut cuts runs off in rounds. A runtime that keeps them grows in every round by all that the round held; one that frees them
// late, as collectors of garbage do, has a round soon in which it does not grow by half of that.
func cut(t *trial) {
	on := t.process()
	before := memory(on.cmd.Process.Pid)
	for round := 1; ; round++ {
		for n := range cutRuns {
			t.cutOff(on, n%2 == 1)
		}
		after := memory(on.cmd.Process.Pid)
		grown := after - before
		if grown < cutRuns*cutHolds/2 {
			break
		}
		if round == cutRounds {
			t.fail(fmt.Sprintf("about as much memory after %d more runs that were cut off, each of %d KiB", cutRuns, cutHolds>>10), "%d MiB more, as after each %d before them", grown>>20, cutRuns)
			break
		}
		before = after
	}

	// The host's deadline ends the stream, too.
	ctx, cancel := context.WithTimeout(t.ctx, quietTime)
	defer cancel()
	if stream, err := on.runtime.Run(ctx); err == nil {
		_ = stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: &pluginpb.Start{Run: "run", Task: "Say hello."}}})
		for err == nil {
			_, err = stream.Recv()
		}
	}
	t.saysHello("run-1")
}

// cutOff cuts a run off that waits for the model, or for a tool.
func (t *trial) cutOff(on *process, tool bool) {
	p := t.begin("run", strings.Repeat("x", cutHolds))
	defer p.cut()
	// The body is not looked at: it is large.
	const expected = "a request of kind model"
	m, err := p.recv(expected)
	if err != nil {
		p.stop(expected, "%s", on.why(err))
	}
	if look := looks(1); tool {
		p.send(answerTo(m.GetRequest().GetId(), plugins.KindModel, plugins.ModelAnswer{Calls: look, Finish: plugins.FinishCalls}))
		p.called(look...)
	}
}
