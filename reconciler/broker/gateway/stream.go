package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// errGivenUp is the cause of a request that another one was faster than.
var errGivenUp = errors.New("another request was faster")

// stream is an answer on its way.
type stream struct {
	model   *spec.Model
	ctx     context.Context
	cancel  context.CancelCauseFunc
	total   *time.Timer
	request model.Request
	pieces  chan string // closed when the answer has ended

	// begun says that something has come, and seen how much of the text, in bytes. over says that nothing more comes.
	begun, over atomic.Bool
	seen        atomic.Int64

	// These are set before over is. left is for what reason the request was left, if it was.
	answer    model.Answer
	err, left error

	// head is the first piece of the text, where somebody sees it before the answer has ended.
	head  string
	ended error // set once there is an end: errWhole where the answer is whole
	noted bool  // in the decision
}

// open sends a request, and calls release with what it took.
func open(ctx context.Context, chat func(context.Context, *spec.Model, model.Request, func(string)) (model.Answer, error), m *spec.Model, request model.Request, release func(spec.Usage)) *stream {
	s := &stream{model: m, request: request, pieces: make(chan string)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if t := m.Spec.Timeouts; t != nil && t.Total > 0 {
		s.total = time.AfterFunc(time.Duration(t.Total), func() {
			s.cancel(&model.Error{Reason: model.TimedOut, Err: fmt.Errorf("its answer takes longer than %s, which spec.timeouts.total allows", t.Total)})
		})
	}
	go func() {
		defer close(s.pieces)
		s.answer, s.err = chat(s.ctx, m, request, func(piece string) {
			s.seen.Add(int64(len(piece)))
			s.begun.Store(true)
			select {
			case s.pieces <- piece:
			case <-s.ctx.Done():
			}
		})
		s.left = context.Cause(s.ctx)
		s.over.Store(true)
		used, _ := s.took()
		release(used)
	}()
	return s
}

// took is what a request that is over, or was given up, took. One that was given up, or whose answer broke off, was read by the server,
// which therefore counts it, and says nothing more: then it is estimated.
func (s *stream) took() (_ spec.Usage, estimated bool) {
	sent := s.request.Estimate(int(s.seen.Load()), model.Answer{})
	if !s.over.Load() {
		return sent, true
	}
	if s.err == nil {
		return s.answer.Used, false
	}
	if e, ok := errors.AsType[*model.Error](s.err); ok && e.Used != (spec.Usage{}) {
		return e.Used, false
	}
	if model.AsksServer(s.model) && (s.begun.Load() || s.left != nil) {
		return sent, true
	}
	return spec.Usage{}, false
}

// close ends the request. The server is left at once.
func (s *stream) close() {
	if s.total != nil {
		s.total.Stop()
	}
	s.cancel(errGivenUp)
}

// begin waits until somebody could see a piece of the answer, or for its end where nobody is watching. The error is why there is none,
// and errGivenUp once the question has been given up.
func (s *stream) begin(given <-chan struct{}, watched bool) error {
	var silent <-chan time.Time
	if t := s.model.Spec.Timeouts; t != nil && t.FirstToken > 0 {
		timer := time.NewTimer(time.Duration(t.FirstToken))
		defer timer.Stop()
		silent = timer.C
	}
	for {
		select {
		case piece, more := <-s.pieces:
			if !more {
				return s.end()
			}
			silent = nil
			if watched && piece != "" {
				s.head = piece
				return nil
			}
		case <-silent:
			s.cancel(&model.Error{Reason: model.TimedOut, Err: fmt.Errorf("it has said nothing for %s, which spec.timeouts.firstToken allows", s.model.Spec.Timeouts.FirstToken)})
			silent = nil
		case <-given:
			s.close()
			given = nil
		}
	}
}

// rest gives the answer on until it ends.
func (s *stream) rest(delta func(string)) (model.Answer, error) {
	for piece, more := s.head, s.head != ""; more; piece, more = <-s.pieces {
		if piece != "" {
			delta(piece)
		}
	}
	if err := s.end(); err != nil {
		return model.Answer{}, err
	}
	return s.answer, nil
}

// end returns the error of an answer that has ended, for the reason that it was ended for. One that was left may lack pieces, also
// where its server has said all of it.
func (s *stream) end() error {
	if s.ended == nil {
		if s.total != nil {
			s.total.Stop()
		}
		s.ended = cmp.Or(s.err, errWhole)
		if cause := context.Cause(s.ctx); errors.Is(cause, errGivenUp) {
			s.ended = cause
		} else if _, ok := errors.AsType[*model.Error](cause); ok {
			s.ended = &model.AskError{Model: s.model.Name, Err: cause}
		} else if cause != nil {
			s.ended = s.ctx.Err() // Whoever asks has left, for reasons of his own.
		}
		s.cancel(nil)
	}
	if s.ended == errWhole {
		return nil
	}
	return s.ended
}

var errWhole = errors.New("the answer is whole")
