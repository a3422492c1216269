package plugintest

import (
	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// streamChecks are about what comes besides answers.
var streamChecks = []check{
	{
		"deltas", "takes deltas in any number, also none, and returns the answer and not the deltas",
		"Deltas are only for showing. Ignore those of requests that you do not know, did not ask to stream, or that are answered.", deltas,
	}, {
		"unknown", "ignores messages and fields that it does not know",
		"A later host may send more. Let a body that you do not know pass, and what answers nothing that waits.", unknown,
	},
}

func delta(id uint64, text string) *pluginpb.HostMessage {
	return &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Delta{Delta: &pluginpb.Delta{Id: id, Text: text}}}
}

func deltas(t *trial) {
	p := t.begin("run", "Say hello.")
	defer p.cut()
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	for _, piece := range []string{"", "hel", "lo, ", "and "} {
		p.send(delta(r.id, piece))
	}
	for range 1000 {
		p.send(delta(r.id, "so on "))
	}
	p.send(delta(r.id+1000, "nobody asked"))
	look := looks(1)
	p.answer(r, plugins.ModelAnswer{Text: "hello", Calls: look, Finish: plugins.FinishCalls})
	p.send(delta(r.id, "too late"))
	tool := p.called(look...)[0]
	p.send(delta(tool.id, "a tool that was not asked to stream"))
	p.answer(tool, plugins.ToolResult{Text: "blue"})
	r = p.shown(plugins.Message{CallID: "c0", Text: "blue"})
	p.send(delta(r.id, "something that the answer does not hold"))
	p.answer(r, plugins.ModelAnswer{Text: "It is blue.", Finish: plugins.FinishStop})
	p.returns("It is blue.")
}

func unknown(t *trial) {
	p := t.beginWith(later(&pluginpb.Start{Run: "run", Task: "Say hello."}))
	defer p.cut()
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	p.send(later(&pluginpb.HostMessage{}))
	p.send(&pluginpb.HostMessage{})
	p.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: plugins.RefusalTo(r.id+1000, plugins.Refusal{})}})
	answer := answerTo(r.id, r.Kind, plugins.ModelAnswer{Text: "hello", Finish: "a-later-reason"})
	later(answer.GetAnswer())
	later(answer.GetAnswer().GetModel())
	p.send(later(answer))
	p.returns("hello")
}
