package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// peer is the host's side of one run.
type peer struct {
	*trial
	on     *process
	start  *pluginpb.Start
	stream grpc.BidiStreamingClient[pluginpb.HostMessage, pluginpb.AgentMessage]
	// cut ends the stream as a host that dies does.
	cut      context.CancelFunc
	received chan received
	// lanes are the requests so far, in the form of a record, by their lanes.
	lanes map[string][]string
	// open are the requests that are not answered, and used the ids so far.
	open map[uint64]bool
	used map[uint64]bool
}

type received struct {
	message *pluginpb.AgentMessage
	err     error
}

// request is a request that waits for its answer.
type request struct {
	plugins.Request
	id uint64
}

// tools are those of every run.
var tools = []*pluginpb.ToolInfo{
	{Name: "probe__look", Description: "Looks.", InputSchemaJson: `{"type":"object","properties":{"at":{"type":"string"}}}`},
	{Name: "probe__fetch", Description: "Fetches.", InputSchemaJson: `{"type":"object"}`},
}

// begin starts a run with a task.
func (t *trial) begin(run, task string) *peer {
	return t.beginWith(&pluginpb.Start{Run: run, Task: task})
}

// beginWith starts a run with what it is given, and what every run has.
func (t *trial) beginWith(start *pluginpb.Start) *peer {
	start = proto.Clone(start).(*pluginpb.Start)
	start.Agent, start.Tools = "tester", tools
	start.Skills = []*pluginpb.SkillInfo{{Name: "tidy", Description: "Tidies up."}}
	start.Limits = &pluginpb.Limits{Turns: 10, ToolCalls: 100, WallTimeMs: 60000, OutputBytes: 4 << 20}
	p := t.open()
	p.start = start
	p.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: start}})
	return p
}

// open opens the stream of a run and sends nothing.
func (t *trial) open() *peer {
	on := t.process()
	ctx, cut := context.WithCancel(t.ctx)
	stream, err := on.runtime.Run(ctx)
	if err != nil {
		cut()
		t.stop("a stream for a run", "%s", on.why(err))
	}
	p := &peer{trial: t, on: on, start: &pluginpb.Start{}, stream: stream, cut: cut, received: make(chan received),
		lanes: map[string][]string{}, open: map[uint64]bool{}, used: map[uint64]bool{}}
	go func() {
		for {
			m, err := stream.Recv()
			select {
			case p.received <- received{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

// send sends a message. Where the stream has ended that is found when something is received.
func (p *peer) send(m *pluginpb.HostMessage) { _ = p.stream.Send(m) }

// recv returns the next message that is no log.
func (p *peer) recv(expected string) (*pluginpb.AgentMessage, error) {
	timer := time.NewTimer(p.patience())
	defer timer.Stop()
	for {
		select {
		case r := <-p.received:
			if r.err == nil && r.message.GetLog() != nil {
				continue
			}
			return r.message, r.err
		case <-timer.C:
			p.stop(expected, "nothing for %s", p.patience())
		case <-p.ctx.Done():
			p.stop(expected, "%v", context.Cause(p.ctx))
		}
	}
}

// quietTime is how long a runtime is watched that must not send anything. One that is slower gets away with it here.
const quietTime = 300 * time.Millisecond

// quiet checks that nothing comes.
func (p *peer) quiet(expected string) {
	select {
	case r := <-p.received:
		switch {
		case r.err != nil:
			p.stop(expected, "%s", p.on.why(r.err))
		case r.message.GetRequest() != nil:
			p.stop(expected, "another request")
		case r.message.GetLog() == nil:
			p.stop(expected, "%s", describeEnd(r.message))
		}
	case <-time.After(quietTime):
	case <-p.ctx.Done():
	}
}

// next returns the next message that is no log: a request, or the end of the run as a result or failure.
func (p *peer) next(expected string) (request, *pluginpb.AgentMessage) {
	m, err := p.recv(expected)
	switch {
	case errors.Is(err, io.EOF):
		p.stop(expected, "the end of the stream")
	case err != nil:
		p.stop(expected, "%s", p.on.why(err))
	}
	if m.GetRequest() == nil {
		return request{}, m
	}
	id := m.GetRequest().GetId()
	if id == 0 || p.used[id] {
		p.stop("requests with ids that are unique in the stream and not 0", "a request with the id %d", id)
	}
	p.used[id], p.open[id] = true, true
	if n := len(p.open); n > plugins.MaxOutstanding {
		p.stop(fmt.Sprintf("at most %d requests without an answer", plugins.MaxOutstanding), "%d of them", n)
	}
	r, err := plugins.RequestFrom(m.GetRequest())
	if err != nil {
		p.stop("a request that keeps the protocol's rules", "%v", err)
	}
	p.lanes[r.Lane] = append(p.lanes[r.Lane], strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Kind, r.Call, r.Body)))
	return request{Request: r, id: id}, nil
}

// asks returns the next message, which must be a request of this kind, and reads its body into body.
func (p *peer) asks(kind string, body any) request {
	expected := "a request of kind " + kind
	r, end := p.next(expected)
	if end != nil {
		p.stop(expected, "the end of the run: %s", describeEnd(end))
	}
	if r.Kind != kind {
		p.stop(expected, "one of kind %s: %s", r.Kind, r.Body)
	}
	if err := json.Unmarshal(r.Body, body); err != nil {
		p.stop(expected, "%v in %s", err, r.Body)
	}
	return r
}

func describeEnd(m *pluginpb.AgentMessage) string {
	switch b := m.GetBody().(type) {
	case *pluginpb.AgentMessage_Result:
		return fmt.Sprintf("a Result %q", shorten(b.Result.GetOutput(), maxText))
	case *pluginpb.AgentMessage_Failure:
		return fmt.Sprintf("a Failure %q", shorten(b.Failure.GetMessage(), maxText))
	}
	return "a message without a body that is known"
}

// answer answers a request.
func (p *peer) answer(r request, body any) {
	p.send(answerTo(r.id, r.Kind, body))
	delete(p.open, r.id)
}

// answerTo is an answer of a kind. The bodies are ours: they have a canonical form.
func answerTo(id uint64, kind string, body any) *pluginpb.HostMessage {
	canonical, err := plugins.Canonical(body)
	if err != nil {
		panic(fmt.Sprintf("plugintest: the body of an answer: %v", err))
	}
	answer, err := plugins.AnswerTo(id, kind, canonical)
	if err != nil {
		panic(fmt.Sprintf("plugintest: an answer: %v", err))
	}
	return &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: answer}}
}

// refuse refuses a request.
func (p *peer) refuse(r request, code, message string) {
	refusal := plugins.RefusalTo(r.id, plugins.Refusal{Code: code, Message: message})
	p.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: refusal}})
	delete(p.open, r.id)
}

// cancel cancels the run.
func (p *peer) cancel(reason string) {
	p.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Cancel{Cancel: &pluginpb.Cancel{Reason: reason}}})
}

// ends returns the end of the run, which must be the next message, and checks that nothing comes after it.
func (p *peer) ends(expected string) *pluginpb.AgentMessage {
	r, end := p.next(expected)
	if end == nil {
		p.stop(expected, "a request of kind %s: %s", r.Kind, r.Body)
	}
	if end.GetResult() == nil && end.GetFailure() == nil {
		p.stop(expected, "%s", describeEnd(end))
	}
	p.closed()
	return end
}

// closed checks that the stream ends now, and well.
func (p *peer) closed() {
	const expected = "the end of the stream, with status OK, after the Result or Failure"
	switch m, err := p.recv(expected); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.stop(expected, "%s", p.on.why(err))
	case m.GetRequest() != nil:
		p.stop(expected, "a request")
	default:
		p.stop(expected, "%s", describeEnd(m))
	}
}

// returns checks that the run ends with this output.
func (p *peer) returns(output string) {
	expected := fmt.Sprintf("a Result with the output %q", shorten(output, maxText))
	if end := p.ends(expected); end.GetResult() == nil || end.GetResult().GetOutput() != output {
		p.fail(expected, "%s", describeEnd(end))
	}
}

// endsSomehow waits for the end of a run that was mistreated as what says: a Failure, the end of the stream with an error, or the Result
// that a runtime that ignores the mistreatment has. Requests are left unanswered.
func (p *peer) endsSomehow(what, output string) {
	expected := "after " + what + " a Failure, or the end of the stream"
	if output != "" {
		expected += fmt.Sprintf(", or the Result %q as if nothing was wrong", output)
	}
	for {
		switch m, err := p.recv(expected); {
		case err != nil:
			return
		case m.GetFailure() != nil:
			p.closed()
			return
		case m.GetResult() != nil:
			if output == "" || m.GetResult().GetOutput() != output {
				p.fail(expected, "%s", describeEnd(m))
			}
			p.closed()
			return
		}
	}
}
