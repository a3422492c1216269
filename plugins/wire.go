package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// Cancelled is why a run's context ended when the host cancelled the run.
type Cancelled struct{ Reason string }

// Error says who cancelled the run and why.
func (c *Cancelled) Error() string { return "cancelled by the host: " + c.Reason }

// errHostGone is why a run's context ended when the stream did.
var errHostGone = errors.New("the host ended the stream")

// wire multiplexes the requests of all lanes of a run over its stream.
type wire struct {
	stream grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]
	cancel context.CancelCauseFunc
	// slots holds a token for each request that may be outstanding.
	slots chan struct{}

	// sending orders messages on the stream; a request takes its id under it, so ids grow in the order of sending.
	sending sync.Mutex
	last    uint64
	ended   bool
	logs    int

	mu      sync.Mutex
	pending map[uint64]*Pending
}

func newWire(stream grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage], cancel context.CancelCauseFunc) *wire {
	return &wire{stream: stream, cancel: cancel, slots: make(chan struct{}, MaxOutstanding), pending: map[uint64]*Pending{}}
}

// Pending is a request that is sent and not yet answered.
type Pending struct {
	// deltas are closed with the answer; nil where none are wanted.
	deltas chan string
	done   chan struct{}
	answer any
	err    error
	// lost ends when the run does.
	lost context.Context
}

// ask sends a request and returns at once, unless [MaxOutstanding] requests wait already. ctx is the caller's.
func (w *wire) ask(ctx context.Context, lane string, body any, deltas bool) (*Pending, error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-w.stream.Context().Done():
		return nil, errHostGone
	}
	p := &Pending{done: make(chan struct{}), lost: w.stream.Context()}
	if deltas {
		p.deltas = make(chan string, 64)
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	request, err := NewRequest(w.last+1, lane, body)
	if err == nil {
		err = w.fits(request)
	}
	if err == nil && w.ended {
		err = errors.New("the run has ended")
	}
	if err != nil {
		<-w.slots
		return nil, err
	}
	w.last++
	w.mu.Lock()
	w.pending[w.last] = p
	w.mu.Unlock()
	if err := w.stream.Send(&pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Request{Request: request}}); err != nil {
		w.take(w.last)
		<-w.slots
		return nil, errHostGone
	}
	return p, nil
}

func (w *wire) fits(m proto.Message) error {
	if n := proto.Size(m); n > MaxMessage-64 {
		return fmt.Errorf("the request has %d bytes, more than the %d that fit a message", n, MaxMessage-64)
	}
	return nil
}

// receive takes the host's messages until the stream ends.
func (w *wire) receive(ctx context.Context) {
	for {
		m, err := w.stream.Recv()
		if err != nil {
			w.cancel(errHostGone)
			w.fail(errHostGone)
			return
		}
		switch b := m.GetBody().(type) {
		case *pluginpb.HostMessage_Answer:
			if p := w.take(b.Answer.GetId()); p != nil {
				p.answer, p.err = AnswerFrom(b.Answer)
				p.close()
				<-w.slots
			}
		case *pluginpb.HostMessage_Delta:
			w.mu.Lock()
			p := w.pending[b.Delta.GetId()]
			w.mu.Unlock()
			if p != nil && p.deltas != nil {
				select {
				case p.deltas <- b.Delta.GetText():
				case <-ctx.Done():
				}
			}
		case *pluginpb.HostMessage_Cancel:
			w.cancel(&Cancelled{Reason: b.Cancel.GetReason()})
		}
	}
}

// take removes and returns a pending request, or nil where the host answers what was not asked.
func (w *wire) take(id uint64) *Pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pending[id]
	delete(w.pending, id)
	return p
}

func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, p := range w.pending {
		p.err = err
		p.close()
		delete(w.pending, id)
	}
}

func (p *Pending) close() {
	if p.deltas != nil {
		close(p.deltas)
	}
	close(p.done)
}

// finish sends the end of the run. Nothing is sent after it.
func (w *wire) finish(end outcome) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	w.ended = true
	message := &pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Result{Result: &pluginpb.Result{Output: utf8(end.output)}}}
	if end.err == nil && proto.Size(message) > MaxMessage {
		end.err = fmt.Errorf("the output has %d bytes, more than fit a message", len(end.output))
	}
	if end.err != nil {
		text := end.err.Error()
		message.Body = &pluginpb.AgentMessage_Failure{Failure: &pluginpb.Failure{Message: utf8(text[:min(len(text), MaxLogText)])}}
	}
	return w.stream.Send(message)
}

func (w *wire) log(level, text string) {
	w.sending.Lock()
	defer w.sending.Unlock()
	if w.ended || w.logs >= MaxLogs {
		return
	}
	w.logs++
	// A log message that cannot be sent is lost with the stream, which the next request reports.
	_ = w.stream.Send(&pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Log{
		Log: &pluginpb.Log{Level: level, Text: utf8(text[:min(len(text), MaxLogText)])},
	}})
}
