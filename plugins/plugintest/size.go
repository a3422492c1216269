package plugintest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/plugins"
)

// sizeChecks are about much: of runs, and of bytes.
var sizeChecks = []check{
	{"concurrent", "keeps 64 runs apart that happen at once", "Keep nothing outside a run: no global conversation, counter or client.", apart},
	{
		"large", "takes and gives messages of almost 4 MiB",
		"Raise the limits of your gRPC library to 4 MiB (4194304 bytes) in both directions; many take less by default.", large,
	}, {
		"too-large", "loses no more than the run to a message over 4 MiB",
		"Fail the run whose message does not fit. Others, and the process, go on.", tooLarge,
	},
}

// concurrentRuns is how many runs happen at once.
const concurrentRuns = 64

func apart(t *trial) {
	t.process() // one for all
	var begun sync.WaitGroup
	begun.Add(concurrentRuns)
	for i := range concurrentRuns {
		t.Go(func() {
			arrived := sync.OnceFunc(begun.Done)
			defer arrived()
			task := fmt.Sprintf("Look at number %d.", i)
			p := t.begin(fmt.Sprint("run-", i), task)
			defer p.cut()
			var asked plugins.ModelRequest
			r := p.asks(plugins.KindModel, &asked)
			arrived()
			begun.Wait() // All of them wait for the model now.
			for n := range 3 {
				look := use(fmt.Sprint("c", n), "probe__look", fmt.Sprintf(`{"at":"%d"}`, i))
				if n > 0 {
					r = p.asks(plugins.KindModel, &asked)
				}
				p.answer(r, plugins.ModelAnswer{Calls: []plugins.ToolUse{look}, Finish: plugins.FinishCalls})
				p.answer(p.called(look)[0], plugins.ToolResult{Text: fmt.Sprintf("seen by %d.", i)})
			}
			p.finish(fmt.Sprint("output ", i), plugins.Message{CallID: "c2", Text: fmt.Sprintf("seen by %d.", i)})
			for _, asked := range p.lanes {
				for _, r := range asked {
					if strings.HasPrefix(r, plugins.KindModel+" ") && !strings.Contains(r, task) {
						t.fail(fmt.Sprintf("the run's own task, %q, in its conversation", task), "%s", shorten(r, maxText))
					}
				}
			}
		})
	}
}

func large(t *trial) {
	almost := strings.Repeat("x", plugins.MaxMessage-8<<10) // It leaves a message room for what is around it.
	p := t.begin("run", "Look.")
	defer p.cut()
	look := use("c1", "probe__look", `{}`)
	p.turn(look)
	p.answer(p.called(look)[0], plugins.ToolResult{Text: almost})
	p.finish(almost, plugins.Message{CallID: "c1", Text: almost})
}

func tooLarge(t *trial) {
	neighbour := t.begin("neighbour", "Say hello.")
	defer neighbour.cut()
	var asked plugins.ModelRequest
	waiting := neighbour.asks(plugins.KindModel, &asked)

	// The host sends too much, which it never does.
	p := t.begin("run", "Say hello.")
	r := p.asks(plugins.KindModel, &asked)
	text := strings.Repeat("x", plugins.MaxMessage+1)
	p.answer(r, plugins.ModelAnswer{Text: text, Finish: plugins.FinishStop})
	p.endsSomehow("a message of more than 4 MiB", "")
	p.cut()

	// A conversation grows until it fits no message. A runtime may shorten it, too.
	p = t.begin("run", "Look.")
	uses := looks(2)
	p.turn(uses...)
	for _, r := range p.called(uses...) {
		p.answer(r, plugins.ToolResult{Text: text[:len(text)*2/3]})
	}
	const expected = "a Failure that says that the conversation is too large"
	if m, err := p.recv(expected); err == nil {
		switch {
		case m.GetRequest() != nil:
			p.answer(request{Request: plugins.Request{Kind: plugins.KindModel}, id: m.GetRequest().GetId()}, plugins.ModelAnswer{Text: "short", Finish: plugins.FinishStop})
			p.returns("short")
		case m.GetFailure() == nil:
			p.fail(expected, "%s", describeEnd(m))
		}
	}
	p.cut()

	neighbour.answer(waiting, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	neighbour.returns("hello")
}
