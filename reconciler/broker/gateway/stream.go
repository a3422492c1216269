package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// errGivenUp is the cause of a request that another one was faster than.
var errGivenUp = errors.New("another request was faster")

// stream is an answer on its way.
type stream struct {
	model  *spec.Model
	ctx    context.Context
	cancel context.CancelCauseFunc
	total  *time.Timer
	pieces chan string // closed when the answer has ended

	// These are set before pieces is closed.
	answer model.Answer
	err    error

	// head is the first piece, where there is one.
	head    string
	hasHead bool
	ended   bool
}

// open sends a request.
func open(ctx context.Context, chat func(context.Context, *spec.Model, model.Request, func(string)) (model.Answer, error), m *spec.Model, request model.Request) *stream {
	s := &stream{model: m, pieces: make(chan string)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if t := m.Spec.Timeouts; t != nil && t.Total > 0 {
		s.total = time.AfterFunc(time.Duration(t.Total), func() {
			s.cancel(&model.Error{Reason: model.TimedOut, Err: fmt.Errorf("its answer takes longer than %s, which spec.timeouts.total allows", t.Total)})
		})
	}
	go func() {
		defer close(s.pieces)
		s.answer, s.err = chat(s.ctx, m, request, func(piece string) {
			select {
			case s.pieces <- piece:
			case <-s.ctx.Done():
			}
		})
	}()
	return s
}

// close ends the request. The server is left at once.
func (s *stream) close() { s.cancel(errGivenUp) }

// begin waits for the first piece of the answer, or for its end. The error is why there is none, and errGivenUp once the question has
// been given up.
func (s *stream) begin(given <-chan struct{}) error {
	var silent <-chan time.Time
	if t := s.model.Spec.Timeouts; t != nil && t.FirstToken > 0 {
		timer := time.NewTimer(time.Duration(t.FirstToken))
		defer timer.Stop()
		silent = timer.C
	}
	for {
		select {
		case s.head, s.hasHead = <-s.pieces:
			if !s.hasHead {
				return s.end()
			}
			return nil
		case <-silent:
			s.cancel(&model.Error{Reason: model.TimedOut, Err: fmt.Errorf("it has said nothing for %s, which spec.timeouts.firstToken allows", s.model.Spec.Timeouts.FirstToken)})
			silent = nil
		case <-given:
			s.close()
			given = nil
		}
	}
}

// rest gives the answer on until it ends. shown says whether somebody has seen some of it.
func (s *stream) rest(delta func(string)) (_ model.Answer, shown bool, _ error) {
	for piece, more := s.head, s.hasHead; more; piece, more = <-s.pieces {
		if piece != "" {
			shown = true
			delta(piece)
		}
	}
	if err := s.end(); err != nil {
		return model.Answer{}, shown, err
	}
	return s.answer, shown, nil
}

// end returns the error of an answer that has ended, for the reason that it was ended for. One that was left may lack pieces, also
// where its server has said all of it.
func (s *stream) end() error {
	if s.ended {
		return s.err
	}
	s.ended = true
	if s.total != nil {
		s.total.Stop()
	}
	if cause := context.Cause(s.ctx); errors.Is(cause, errGivenUp) {
		s.err = cause
	} else if _, ok := errors.AsType[*model.Error](cause); ok {
		s.err = &model.AskError{Model: s.model.Name, Err: cause}
	} else if cause != nil {
		s.err = s.ctx.Err() // Whoever asks has left, for reasons of his own.
	}
	s.cancel(nil)
	return s.err
}
