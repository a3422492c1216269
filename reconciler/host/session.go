package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxNoise is how many messages that need no answer a run may send.
	maxNoise = 10 * plugins.MaxLogs
	// maxInvalid is how many requests that break a rule of the protocol a run may send. Their refusals fit the stream's
	// window, so that the host never waits for an agent that does not read them.
	maxInvalid = 100
)

// ErrNoImages is why no run with images was opened.
var ErrNoImages = errors.New("its runtime does not say that it passes the images of a task on to its model: use the runtime loop, or one whose features name " + plugins.FeatureImages)

// ErrFlood is why a session failed whose agent sent more than it may.
var ErrFlood = errors.New("the agent floods its host")

// ExitError says how the process ended under a session.
type ExitError struct {
	Agent string
	PID   int
	// Code is the exit status, -1 where Signal ended the process.
	Code   int
	Signal string
	// Stderr is the end of what the process printed.
	Stderr string
	// Stopped says that the host ended it on purpose, and Why how it was ended for what the process did, or because it did
	// not answer.
	Stopped bool
	Why     string
}

// exitError describes the end of the process under a session.
func (h *Host) exitError(s *Session) *ExitError {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, w := s.live.proc, s.worker
	h.lost(w, "") // Whoever hears of it may look at the status next.
	why := w.dead
	if reason := p.reason(); why == "" && reason != "" {
		why = "ended: " + reason
	}
	return &ExitError{Agent: string(s.agent), PID: p.pid, Code: p.code, Signal: p.signal, Stderr: s.live.out.words(), Stopped: w.purpose, Why: why}
}

// Error says who exited, how, and with which last words.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("the process %d of the agent %s ", e.PID, e.Agent)
	switch {
	case e.Why != "":
		text += "was " + e.Why
	case e.Stopped:
		text += "was stopped"
	case e.Signal != "":
		text += "was killed by the signal " + e.Signal
	default:
		text += fmt.Sprintf("exited with status %d", e.Code)
	}
	if e.Stderr != "" && !e.Stopped {
		text += "; its last words: " + e.Stderr
	}
	return text
}

// OnPurpose says that the host ended the process, to replace it or to make room, so that the run is to go on elsewhere.
func (e *ExitError) OnPurpose() bool { return e.Stopped }

// Start is what a run begins with.
type Start struct {
	Run  spec.RunID
	Task string
	// Images are those that the task is about. Only their names go to the agent.
	Images []spec.Image
	// History is what was said before in the run's thread, oldest first.
	History []spec.ThreadMessage
	Tools   []Tool
	Skills  []Skill
	Limits  spec.RunLimits
	// OutputSchema is the JSON Schema of the output, or empty. Check says that the agent should have the output checked.
	OutputSchema json.RawMessage
	Check        bool
}

// Tool is a tool as the agent sees it.
type Tool struct {
	Name        string
	Description string
	// InputSchema is the JSON Schema of the arguments; empty where there is none.
	InputSchema json.RawMessage
}

// Skill is a skill as the agent sees it.
type Skill struct{ Name, Description string }

// Message is what an agent sends: exactly one of Request, Result and Failure.
type Message struct {
	// ID is for [Session.Answer]. It means nothing beyond the session.
	ID      uint64
	Request *spec.Request
	// Stream says that deltas are wanted; for requests of kind model.
	Stream  bool
	Result  *Result
	Failure *Failure
}

// Result is the end of a run that went well.
type Result struct{ Output string }

// Failure is the end of a run that the agent gave up.
type Failure struct{ Message string }

// Session is one run on an agent's process. One goroutine calls Recv; all other methods may be called at once. Close must
// be called in any case.
type Session struct {
	host   *Host
	agent  spec.AgentName
	worker *worker
	live   *instance
	stream grpc.BidiStreamingClient[pluginpb.HostMessage, pluginpb.AgentMessage]
	cancel context.CancelFunc
	log    *slog.Logger
	close  sync.Once
	closed atomic.Bool

	sending sync.Mutex

	mu      sync.Mutex
	waiting map[uint64]string // the kind of each request without an answer
	ended   bool
	logs    int
	noise   int
	invalid int
}

// Open starts a run on a process of the agent, which is started where none has room for it. It waits, until ctx ends, for
// its turn and for an agent that is to be started again; where a start fails meanwhile, that is the error. ctx bounds only
// the opening.
func (h *Host) Open(ctx context.Context, name spec.AgentName, start Start) (*Session, error) {
	for again := false; ; again = true {
		w, err := h.seat(ctx, name, again)
		if err != nil {
			return nil, fmt.Errorf("open a run on the agent %s: %w", name, err)
		}
		s, err := h.open(ctx, w, start)
		if err == nil {
			return s, nil
		}
		h.release(w)
		if !errors.Is(err, errSilent) {
			return nil, fmt.Errorf("open a run on the agent %s: %w", name, err)
		}
	}
}

// seat waits for a place for a run on a process of the agent. first says that it had one before.
func (h *Host) seat(ctx context.Context, name spec.AgentName, first bool) (*worker, error) {
	h.mu.Lock()
	p := h.schedule.pools[name]
	if p == nil {
		h.mu.Unlock()
		return nil, ErrNotRunning
	}
	o := h.schedule.ask(p, first)
	h.schedule.step(h.options.Now())
	h.mu.Unlock()
	select {
	case <-o.ready:
		return o.worker, o.err
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.worker != nil { // It came just now.
		h.schedule.release(o.worker, h.options.Now())
		h.schedule.step(h.options.Now())
	}
	if o.place == nil {
		return nil, context.Cause(ctx)
	}
	status := p.status(h.options.Now())
	h.schedule.settle(o, nil, nil)
	err := fmt.Errorf("no process was ready for it (%s): %w", status.State, context.Cause(ctx))
	if status.LastExit != "" {
		err = fmt.Errorf("%w; the last one: %s", err, status.LastExit)
	}
	return nil, err
}

func (h *Host) release(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.options.Now()
	h.schedule.release(w, now)
	h.schedule.step(now)
}

// errSilent means that a process does not answer, so that a run is to go to another one.
var errSilent = errors.New("the process does not answer")

// freshTime is how long a process that has answered is taken to be one that answers.
const freshTime = 200 * time.Millisecond

// answers makes sure that a process answers, and ends it where it does not.
func (h *Host) answers(ctx context.Context, w *worker) error {
	h.mu.Lock()
	fresh := h.options.Now().Sub(w.proved) < freshTime
	h.mu.Unlock()
	if fresh {
		return nil
	}
	err := w.live.describe(ctx, pingTimeout)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		w.proved = h.options.Now()
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h.lost(w, fmt.Sprintf("killed, because it did not answer for %s", pingTimeout))
	return errSilent
}

func (h *Host) open(ctx context.Context, w *worker, start Start) (*Session, error) {
	if err := h.answers(ctx, w); err != nil {
		return nil, err
	}
	live := w.live
	if len(start.Images) > 0 && !live.images.Load() {
		return nil, fmt.Errorf("agent %s: %w", w.pool.Name, ErrNoImages)
	}
	lasting, cancel := context.WithCancel(context.Background())
	stream, err := live.runtime.Run(lasting)
	if err != nil {
		cancel()
		return nil, h.unopened(w, err)
	}
	s := &Session{
		host: h, agent: w.pool.Name, worker: w, live: live, stream: stream, cancel: cancel, waiting: map[uint64]string{},
		log: h.options.Log.With("agent", w.pool.Name, "run", start.Run),
	}
	message := &pluginpb.Start{
		Run: string(start.Run), Agent: string(s.agent), Task: start.Task, OutputSchemaJson: string(start.OutputSchema), Check: start.Check,
		Limits: &pluginpb.Limits{
			Turns: uint32(start.Limits.Turns), ToolCalls: uint32(start.Limits.ToolCalls),
			WallTimeMs: uint64(start.Limits.WallTime.Milliseconds()), OutputBytes: uint64(start.Limits.OutputBytes),
		},
	}
	for _, m := range start.History {
		message.History = append(message.History, &pluginpb.Message{Role: m.Role, Text: m.Text})
	}
	for _, i := range start.Images {
		message.Images = append(message.Images, &pluginpb.Image{Digest: string(i.Digest), MediaType: i.MediaType, Bytes: uint64(i.Bytes)})
	}
	for _, t := range start.Tools {
		message.Tools = append(message.Tools, &pluginpb.ToolInfo{Name: t.Name, Description: t.Description, InputSchemaJson: string(t.InputSchema)})
	}
	for _, t := range start.Skills {
		message.Skills = append(message.Skills, &pluginpb.SkillInfo{Name: t.Name, Description: t.Description})
	}
	if err := s.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: message}}); err != nil {
		cancel()
		return nil, h.unopened(w, err)
	}
	return s, nil
}

// unopened is why a run could not be opened on a process. One whose connection is gone is of no use to anyone.
func (h *Host) unopened(w *worker, err error) error {
	if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled && !errors.Is(err, io.EOF) {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost(w, "")
	return errSilent
}

// PID is the process that does the run.
func (s *Session) PID() int { return s.live.proc.pid }

// Isolation names the walls around that process.
func (s *Session) Isolation() string { return s.live.proc.isolation.String() }

// Recv returns the next request, or the end of the run; after that it returns io.EOF. Where the process ended it returns
// an [*ExitError], and [ErrFlood] where the agent sends more than it may. After any error the session is only to be closed.
func (s *Session) Recv() (Message, error) {
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return Message{}, s.broken(err)
		}
		if s.ended {
			return Message{}, fmt.Errorf("the agent sent more after the end of its run")
		}
		switch body := m.GetBody().(type) {
		case *pluginpb.AgentMessage_Request:
			message, ok, err := s.request(body.Request)
			if err != nil || ok {
				return message, err
			}
		case *pluginpb.AgentMessage_Result:
			s.ended = true
			return Message{Result: &Result{Output: body.Result.GetOutput()}}, nil
		case *pluginpb.AgentMessage_Failure:
			s.ended = true
			return Message{Failure: &Failure{Message: printable(body.Failure.GetMessage())}}, nil
		default:
			if err := s.remark(m.GetLog()); err != nil {
				return Message{}, err
			}
		}
	}
}

// request takes a request in, and reports false where it is refused at once.
func (s *Session) request(m *pluginpb.Request) (Message, bool, error) {
	r, err := plugins.RequestFrom(m)
	s.mu.Lock()
	_, twice := s.waiting[m.GetId()]
	switch {
	case m.GetId() == 0 || twice:
		s.mu.Unlock()
		return Message{}, false, fmt.Errorf("the agent sent a request with the id %d, which is not unique", m.GetId())
	case err == nil:
		s.waiting[m.GetId()] = r.Kind
	default:
		s.invalid++
	}
	waiting, invalid := len(s.waiting), s.invalid
	s.mu.Unlock()
	if waiting > plugins.MaxOutstanding {
		return Message{}, false, fmt.Errorf("%w: more than %d requests wait for their answers", ErrFlood, plugins.MaxOutstanding)
	}
	if err != nil {
		if invalid > maxInvalid {
			return Message{}, false, fmt.Errorf("%w: more than %d requests that break the protocol", ErrFlood, maxInvalid)
		}
		refusal := plugins.Refusal{Code: plugins.RefusedInvalid, Message: err.Error()}
		if errors.Is(err, plugins.ErrUnknownKind) {
			refusal.Code = plugins.RefusedUnsupported
		}
		return Message{}, false, s.send(answerMessage(plugins.RefusalTo(m.GetId(), refusal)))
	}
	request := &spec.Request{Lane: spec.Lane(r.Lane), Kind: r.Kind, Call: r.Call, Body: r.Body}
	return Message{ID: m.GetId(), Request: request, Stream: r.Stream}, true, nil
}

// remark takes a log message, or nil for a message this version does not know.
func (s *Session) remark(m *pluginpb.Log) error {
	s.mu.Lock()
	s.noise++
	noise := s.noise
	if m != nil {
		s.logs++
	}
	logs := s.logs
	s.mu.Unlock()
	if noise > maxNoise {
		return fmt.Errorf("%w: more than %d messages that are of no use", ErrFlood, maxNoise)
	}
	if m == nil || logs > plugins.MaxLogs {
		return nil
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(m.GetLevel())) // info where it is none
	text := m.GetText()
	s.log.Log(context.Background(), min(level, slog.LevelError), printable(text[:min(len(text), plugins.MaxLogText)]))
	return nil
}

// broken says why the stream ended.
func (s *Session) broken(err error) error {
	if s.ended && errors.Is(err, io.EOF) {
		return io.EOF
	}
	code := status.Code(err)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the agent ended the stream without a result")
	case code == codes.ResourceExhausted:
		return fmt.Errorf("%w: %s", ErrFlood, status.Convert(err).Message())
	case s.closed.Load(): // gRPC ends the stream's context too when the connection goes, so that it does not tell.
		return errors.New("the session is closed")
	case code != codes.Unavailable && code != codes.Canceled:
		return fmt.Errorf("the agent broke the stream: %s", printable(status.Convert(err).Message()))
	}
	// The connection is gone, so the process is gone or of no use.
	timer := time.AfterFunc(time.Second, s.live.proc.kill)
	defer timer.Stop()
	<-s.live.proc.exited
	s.live.runner.stop()                         // Whatever it left behind would hold its output open.
	_ = s.live.runner.Wait(context.Background()) // Its last words are read to the end; they are in the error.
	return s.host.exitError(s)
}

// Answer answers a request, once. kind is the request's. An answer with an Error reaches the agent as a refusal. It
// blocks while the agent does not read, until Close.
func (s *Session) Answer(id uint64, kind string, answer spec.Answer) error {
	s.mu.Lock()
	waiting, ok := s.waiting[id]
	if ok && waiting == kind {
		delete(s.waiting, id)
	}
	s.mu.Unlock()
	if !ok || waiting != kind {
		return fmt.Errorf("answer the request %d of kind %s: no such request waits", id, kind)
	}
	if answer.Error != "" {
		return s.send(answerMessage(plugins.RefusalTo(id, plugins.Refusal{Code: plugins.RefusedByHost, Message: answer.Error})))
	}
	m, err := plugins.AnswerTo(id, kind, answer.Body)
	if err != nil {
		return err
	}
	return s.send(answerMessage(m))
}

// Delta shows the agent a piece of the answer to a request for a model that is being made.
func (s *Session) Delta(id uint64, text string) error {
	return s.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Delta{Delta: &pluginpb.Delta{Id: id, Text: text}}})
}

// Cancel tells the agent to give the run up. Recv goes on to the end that the agent makes of it.
func (s *Session) Cancel(reason string) error {
	return s.send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Cancel{Cancel: &pluginpb.Cancel{Reason: reason}}})
}

// Close ends the session, whatever the agent does. It may be called twice.
func (s *Session) Close() {
	s.close.Do(func() {
		s.closed.Store(true)
		s.cancel()
		s.host.release(s.worker)
	})
}

func answerMessage(m *pluginpb.Answer) *pluginpb.HostMessage {
	return &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: m}}
}

func (s *Session) send(m *pluginpb.HostMessage) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.stream.Send(m); err != nil {
		return fmt.Errorf("send to the agent %s: %w", s.agent, err)
	}
	return nil
}
