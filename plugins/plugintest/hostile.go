package plugintest

import (
	"context"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// hostileChecks are about messages that no host sends. The run fails, or goes on as if nothing was wrong; other runs and the
// process are not touched.
var hostileChecks = []check{
	{"first-message", "refuses a run that does not begin with Start", "End the stream with an error where the first message is not Start, or there is none.", firstMessage},
	{"second-start", "survives a second Start", "Fail the run, or ignore the message.", secondStart},
	{
		"wrong-answers", "survives answers of the wrong kind, without a body, given twice, to nothing, or that make no sense",
		"Match an answer by id, look at its body, and fail the run where it does not fit the request.", wrongAnswers,
	},
	{"garbage", "survives bytes that are no message, on the stream and on the socket", "Let your gRPC library refuse them; a failed run must not end the process.", garbage},
}

// later gives a message a field of a later version.
func later[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "new"))
	return m
}

func firstMessage(t *trial) {
	for _, first := range []struct {
		what    string
		message *pluginpb.HostMessage
	}{
		{"an answer", answerTo(1, plugins.KindModel, plugins.ModelAnswer{Text: "hello"})},
		{"a delta", delta(1, "hello")},
		{"Cancel", &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Cancel{Cancel: &pluginpb.Cancel{Reason: "none"}}}},
		{"a message that it does not know", later(&pluginpb.HostMessage{})},
		{"no message", nil},
	} {
		p := t.open()
		if first.message != nil {
			p.send(first.message)
		}
		_ = p.stream.CloseSend()
		p.endsSomehow("a stream of "+first.what+" and its end", "")
		p.cut()
	}
}

func secondStart(t *trial) {
	p := t.begin("run", "Say hello.")
	defer p.cut()
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	p.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: &pluginpb.Start{Run: "run", Task: "Say goodbye."}}})
	p.answer(r, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	p.endsSomehow("a second Start", "hello")
	t.saysHello("run-1")
}

func wrongAnswers(t *trial) {
	model := func(text string) func(id uint64) *pluginpb.HostMessage {
		return func(id uint64) *pluginpb.HostMessage {
			return answerTo(id, plugins.KindModel, plugins.ModelAnswer{Text: text, Finish: plugins.FinishStop})
		}
	}
	raw := func(a *pluginpb.Answer) func(id uint64) *pluginpb.HostMessage {
		return func(id uint64) *pluginpb.HostMessage {
			a := proto.Clone(a).(*pluginpb.Answer)
			a.Id += id
			return &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: a}}
		}
	}
	hello := model("hello")
	for _, c := range []struct {
		what     string
		messages []func(id uint64) *pluginpb.HostMessage
	}{
		{"an answer of another kind", []func(uint64) *pluginpb.HostMessage{raw(&pluginpb.Answer{Body: &pluginpb.Answer_Time{Time: &pluginpb.TimeAnswer{Time: "never"}}}), hello}},
		{"an answer without a body", []func(uint64) *pluginpb.HostMessage{raw(&pluginpb.Answer{}), hello}},
		{"an answer given twice", []func(uint64) *pluginpb.HostMessage{hello, model("goodbye")}},
		{"an answer to nothing", []func(uint64) *pluginpb.HostMessage{raw(&pluginpb.Answer{Id: 1000, Body: &pluginpb.Answer_Model{}}), raw(&pluginpb.Answer{Id: ^uint64(0)}), hello}},
	} {
		p := t.begin("run", "Say hello.")
		var asked plugins.ModelRequest
		r := p.asks(plugins.KindModel, &asked)
		for _, m := range c.messages {
			p.send(m(r.id))
		}
		p.endsSomehow(c.what, "hello")
		p.cut()
	}

	// A model's answer with calls whose arguments are no JSON.
	p := t.begin("run", "Look.")
	defer p.cut()
	var asked plugins.ModelRequest
	r := p.asks(plugins.KindModel, &asked)
	p.send(raw(&pluginpb.Answer{Body: &pluginpb.Answer_Model{Model: &pluginpb.ModelAnswer{
		Calls: []*pluginpb.ToolUse{{CallId: "c1", Name: "probe__look", ArgumentsJson: `{"at`}}, FinishReason: plugins.FinishCalls,
	}}})(r.id))
	const expected = "a Failure, or a request that shows the model what is wrong"
	if m, err := p.recv(expected); err == nil && m.GetResult() != nil {
		t.fail(expected, "%s", describeEnd(m))
	}
	t.saysHello("run-1")
}

// rawCodec puts bytes on a stream as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not bytes", v)
	}
	return b, nil
}

func (rawCodec) Unmarshal([]byte, any) error { return nil }

func (rawCodec) Name() string { return "proto" }

func garbage(t *trial) {
	neighbour := t.begin("neighbour", "Say hello.")
	defer neighbour.cut()
	var asked plugins.ModelRequest
	waiting := neighbour.asks(plugins.KindModel, &asked)

	for _, b := range []string{"\xff\xff\xff\xff", "\x0a\xff\xff\xff\xff\x0f", strings.Repeat("\x00", 100), "GET / HTTP/1.1\r\n\r\n"} {
		ctx, cancel := context.WithTimeout(t.ctx, t.patience())
		stream, err := t.process().conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
			pluginpb.Runtime_Run_FullMethodName, grpc.ForceCodec(rawCodec{}))
		if err == nil {
			_ = stream.SendMsg([]byte(b))
			_ = stream.CloseSend()
			for err == nil {
				err = stream.RecvMsg(new([]byte))
			}
		}
		if ctx.Err() != nil {
			t.fail("the end of a stream with bytes that are no message", "nothing for %s", t.patience())
		}
		cancel()
		if conn, err := net.Dial("unix", t.process().address); err == nil {
			_, _ = conn.Write([]byte(b))
			_ = conn.Close()
		}
	}
	neighbour.answer(waiting, plugins.ModelAnswer{Text: "hello", Finish: plugins.FinishStop})
	neighbour.returns("hello")
}
