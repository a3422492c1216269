// Package child asks a process of its own what may not be asked here: a parser or a template that somebody hostile has written for can loop
// without end, or ask for more memory than there is, and neither can be stopped from within a process.
//
// The process has no environment, limits its own memory and processor time before it reads a byte, and is killed when an answer takes too
// long. On Windows only the time is limited. It ends when its standard input does, so that it does not outlive who asks.
package child

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// What keeps a process from answering.
var (
	// ErrTimeout is an answer that took too long.
	ErrTimeout = errors.New("it took too long")
	// ErrTooLong is an answer that is longer than it may be.
	ErrTooLong = errors.New("the answer is too long")
	// ErrEnded is a process that ended instead: it ran out of memory or processor time, or failed.
	ErrEnded = errors.New("it ran out of memory or time, or failed")
)

// Limits of a process.
const (
	maxMemory    = 1 << 30 // bytes
	maxProcessor = 60      // seconds
	// maxRequest bounds what is asked, in bytes.
	maxRequest = 256 << 20
)

// Child says how a process is asked.
type Child struct {
	// Command is the program and its arguments. It calls Serve.
	Command []string
	// Timeout is how long an answer may take.
	Timeout time.Duration
	// MaxAnswer is how long an answer may be, in bytes.
	MaxAnswer int
}

// Session is a process that is started when it is asked first, and again where it has ended. One question is asked at a time.
type Session struct {
	child Child
	p     *process
}

// Open returns a session. Close it.
func (c Child) Open() *Session { return &Session{child: c} }

// Close ends the process.
func (s *Session) Close() {
	if s.p != nil {
		s.p.end()
		s.p = nil
	}
}

// Ask returns the answer to a request. The error is one of those above, or that of a process that cannot be started; whatever ends ctx
// is returned as it is. After an error the next question is for a new process.
func (s *Session) Ask(ctx context.Context, request []byte) ([]byte, error) {
	if len(request) > maxRequest {
		return nil, fmt.Errorf("a request of %d bytes: %d are taken", len(request), maxRequest)
	}
	for {
		used := s.p != nil
		answer, err := s.ask(ctx, request)
		// What the questions before it left of the process's memory and processor time may be why. A new one has all of both.
		if used && errors.Is(err, ErrEnded) {
			continue
		}
		return answer, err
	}
}

func (s *Session) ask(ctx context.Context, request []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if s.p == nil {
		p, err := start(s.child.Command)
		if err != nil {
			return nil, err
		}
		s.p = p
	}
	limited, cancel := context.WithTimeout(ctx, s.child.Timeout)
	defer cancel()
	stop := context.AfterFunc(limited, s.p.kill)
	answer, err := s.p.ask(request, s.child.MaxAnswer)
	if stop() && err == nil {
		return answer, nil
	}
	s.Close()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case limited.Err() != nil:
		return nil, ErrTimeout
	case errors.Is(err, ErrTooLong):
		return nil, err
	}
	return nil, ErrEnded
}

// process is one that serves.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

func start(command []string) (*process, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd, in, out}, nil
}

func (p *process) kill() { _ = p.cmd.Process.Kill() } // It may have ended.

func (p *process) end() {
	_ = p.in.Close()
	p.kill()
	_ = p.cmd.Wait() // That it was killed is known.
}

func (p *process) ask(request []byte, most int) ([]byte, error) {
	if err := writeFrame(p.in, request); err != nil {
		return nil, err
	}
	return readFrame(p.out, most)
}

// Serve is the child: it answers requests until there are no more. answer may not return, and it may end the process.
func Serve(in io.Reader, out io.Writer, answer func(request []byte) []byte) error {
	if err := limitProcess(); err != nil {
		return err
	}
	for {
		request, err := readFrame(in, maxRequest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := writeFrame(out, answer(request)); err != nil {
			return err
		}
	}
}

// A frame is a length of eight bytes, the highest one first, and as many bytes.
func writeFrame(w io.Writer, content []byte) error {
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(content)))); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

func readFrame(r io.Reader, most int) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint64(head[:])
	if n > uint64(most) {
		return nil, ErrTooLong
	}
	var content bytes.Buffer // It grows with what comes, not with what is promised.
	if _, err := io.CopyN(&content, r, int64(n)); err != nil {
		return nil, fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return content.Bytes(), nil
}
