// Package tool makes MCP servers (https://modelcontextprotocol.io) callable as tools. It starts a server when it is first
// needed, keeps one process for each digest of a server's spec, starts it again after it has died, and stops all of them
// in [Servers.Close]. A server gets PATH, a HOME of its own and the variables that its spec declares, and nothing else. One
// whose secrets have changed is started anew for the next call, while the calls under way end on the old process.
//
// It never decides whether a call is allowed, and never makes a call twice. Its errors tell apart what surely did not
// happen ([ErrNotSent]) from what may have happened ([ErrUncertain]).
package tool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

var (
	// ErrNotSent means that the server never got the call: it could not be started, or was gone before.
	ErrNotSent = errors.New("the call was not sent")
	// ErrUncertain means that the call was sent and its outcome is not known: it timed out, the caller gave up, the server
	// died in the middle, or its answer made no sense.
	ErrUncertain = errors.New("the call may have taken effect")
)

// The limits of this package.
const (
	// MaxResult bounds the text and the structured value of a result, in bytes each. What is longer is cut, with a note.
	MaxResult = 1 << 20
	// MaxArguments bounds the arguments of a call as JSON, in bytes.
	MaxArguments = 1 << 20
	// MaxProcesses bounds the processes that run at once, besides those that end their last calls with an old secret.
	MaxProcesses = 64

	maxLine      = 16 << 20  // one message from a server
	maxStderr    = 8 << 10   // what is kept of a server's stderr
	maxWords     = 5         // lines of it in an error
	maxTools     = 1000      // tools listed by one server
	maxVariable  = 128 << 10 // NAME=value and the byte at its end, which is what Linux allows
	startTimeout = 30 * time.Second
	stopTimeout  = 2 * time.Second // for each of: end of input, SIGTERM, SIGKILL
)

// MetaIdempotencyKey is the field of a call's `_meta` that carries [CallOptions.IdempotencyKey].
const MetaIdempotencyKey = "mainstay.dev/idempotency-key"

// Options are what [New] needs. All fields but Hide and Logger are required.
type Options struct {
	// Dir holds one private working folder for each server, by its name.
	Dir string
	// Self is the path of this executable. It stands for a command whose first element is `mainstay`.
	Self string
	// Env looks up a variable of this process's environment. A server gets its PATH.
	Env func(name string) (string, bool)
	// Secret resolves a reference. It is asked before each call of a server that has one.
	Secret func(ctx context.Context, ref spec.SecretRef) (secret.Value, error)
	// Hide takes secrets out of a text before it is cut, for half a secret is found by nobody. Nil leaves all as it is.
	Hide func(text string) string
	// Now is the clock, for [Servers.StopIdle].
	Now func() time.Time
	// Logger gets a line when a server starts or ends. Nil logs nothing.
	Logger *slog.Logger
}

// Servers are the tool servers of all agents. It is safe for concurrent use.
type Servers struct {
	opts Options

	mu        sync.Mutex
	closed    bool
	processes map[spec.Digest]*process
	retired   map[*process]bool // replaced or refused, and still used
	newest    *newest
	refused   map[spec.Digest]error
	resolved  int // how many resolutions have begun
	ending    sync.WaitGroup
}

// New returns Servers with no process running.
func New(opts Options) *Servers {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Hide == nil {
		opts.Hide = func(text string) string { return text }
	}
	return &Servers{opts: opts, processes: map[spec.Digest]*process{}, retired: map[*process]bool{}, refused: map[spec.Digest]error{}}
}

// CallOptions say how a call is made.
type CallOptions struct {
	// IdempotencyKey, where it is not empty, is sent in the call's `_meta` as [MetaIdempotencyKey]. A server that knows it
	// does the same thing only once for one key.
	IdempotencyKey string
}

// Result is what a tool answered.
type Result struct {
	// Text is the text of all content, one part after the other.
	Text string
	// Structured is the structured content as JSON values; nil where there is none.
	Structured any
	// Images are those of the content, with their data. Text says where they stood.
	Images []spec.Image
	// IsError says that the server answered and the answer is an error.
	IsError bool
}

// Schema describes a tool to a model.
type Schema struct {
	Description string
	// InputSchema is a JSON Schema of an object.
	InputSchema json.RawMessage
	// Annotations are the hints that are set, by their names in MCP, such as readOnlyHint. They are for people.
	Annotations map[string]bool
}

// Pin is the schema as a lock pins it. An error means that the schema cannot be pinned.
func (s Schema) Pin() (spec.ToolPin, error) {
	return spec.NewToolPin(s.Description, s.InputSchema, s.Annotations)
}

// Timeout is how long a call of the tool may take: the tool's own timeout, or else its server's.
func Timeout(server *spec.ToolServer, tool string) time.Duration {
	if t := time.Duration(server.Spec.Tools[tool].Timeout); t > 0 {
		return t
	}
	return server.Timeout
}

// Call calls a tool once. An error wraps either [ErrNotSent] or [ErrUncertain]; an answer that says that the tool failed
// is no error but a Result with IsError. When ctx ends the server is told so and goes on running for its other callers.
func (s *Servers) Call(ctx context.Context, server *spec.ToolServer, tool string, args map[string]any, opts CallOptions) (Result, error) {
	where := fmt.Sprintf("call %s of tool server %s", tool, server.Name)
	if args == nil {
		args = map[string]any{}
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w: arguments: %w", where, ErrNotSent, err)
	}
	if len(raw) > MaxArguments {
		return Result{}, fmt.Errorf("%s: %w: the arguments are %d bytes, at most %d are allowed", where, ErrNotSent, len(raw), MaxArguments)
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout(server, tool))
	defer cancel()
	p, err := s.acquire(ctx, server)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w: %w", where, ErrNotSent, err)
	}
	defer s.release(p)
	if s.locked(server) {
		if _, err := s.verified(ctx, server, p); err != nil {
			return Result{}, fmt.Errorf("%s: %w: %w", where, ErrNotSent, err)
		}
	}

	request := mcp.CallToolRequest{}
	request.Params.Name = tool
	request.Params.Arguments = json.RawMessage(raw)
	if opts.IdempotencyKey != "" {
		request.Params.Meta = &mcp.Meta{AdditionalFields: map[string]any{MetaIdempotencyKey: opts.IdempotencyKey}}
	}
	var sent delivery
	answer, err := p.client.CallTool(withDelivery(ctx, &sent), request)
	switch {
	case err == nil:
		return newResult(answer, s.opts.Hide), nil
	case sent.refused != "":
		return Result{Text: cut(s.opts.Hide(sent.refused)), IsError: true}, nil
	case sent.not:
		return Result{}, fmt.Errorf("%s: %w: %w%s", where, ErrNotSent, err, p.lastWords())
	case ctx.Err() == context.DeadlineExceeded:
		return Result{}, fmt.Errorf("%s: %w: no answer in time (%s): %w%s", where, ErrUncertain, Timeout(server, tool), ctx.Err(), p.lastWords())
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("%s: %w: %w", where, ErrUncertain, ctx.Err())
	case p.ended():
		return Result{}, fmt.Errorf("%s: %w: the server ended in the middle of the call: %w%s", where, ErrUncertain, p.reason(), p.lastWords())
	default:
		return Result{}, fmt.Errorf("%s: %w: %w%s", where, ErrUncertain, err, p.lastWords())
	}
}

// Schemas returns what the server says about its tools, by name. It is asked once for each process, and again where it
// says that its tools have changed. Where they are not what the fleet's lock pins the error is a [*spec.LockMismatch], and
// the server is stopped. A call that lists tools changes nothing, so the error needs no distinction.
func (s *Servers) Schemas(ctx context.Context, server *spec.ToolServer) (map[string]Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := s.acquire(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("list tools of tool server %s: %w", server.Name, err)
	}
	defer s.release(p)
	schemas, err := s.verified(ctx, server, p)
	if IsMismatch(err) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("list tools of tool server %s: %w", server.Name, err)
	}
	return schemas, nil
}

// StopIdle stops the servers that no call uses and none has used since before.
func (s *Servers) StopIdle(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for digest, p := range s.processes {
		if p.users == 0 && p.lastUsed.Before(before) {
			delete(s.processes, digest)
			s.end(p)
		}
	}
}

// Close stops all servers and waits until their processes are gone. Later calls fail with [ErrNotSent].
func (s *Servers) Close() error {
	s.mu.Lock()
	s.closed = true
	for digest, p := range s.processes {
		delete(s.processes, digest)
		s.end(p)
	}
	for p := range s.retired {
		s.end(p)
	}
	clear(s.retired)
	s.mu.Unlock()
	s.ending.Wait()
	return nil
}

// end stops p in the background; s.mu is held.
func (s *Servers) end(p *process) {
	s.ending.Go(p.stop)
}

// acquire returns the running process of the server and starts one where there is none. The start belongs to no caller:
// one that gives up leaves it going for the next.
func (s *Servers) acquire(ctx context.Context, server *spec.ToolServer) (*process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	given, unresolved := s.resolve(ctx, server)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errors.New("the tool servers are stopped already")
	}
	p := s.current(server, given, unresolved)
	if p == nil {
		if unresolved != nil {
			s.mu.Unlock()
			return nil, unresolved
		}
		if len(s.processes) >= MaxProcesses {
			s.mu.Unlock()
			return nil, fmt.Errorf("%d tool servers run already, which is the most there may be", MaxProcesses)
		}
		var err error
		if p, err = s.prepare(server, given); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.processes[server.Digest] = p
		s.ending.Go(p.start)
	}
	p.users++
	p.lastUsed = s.opts.Now()
	s.mu.Unlock()

	select {
	case <-p.ready:
	case <-ctx.Done():
		s.release(p)
		return nil, fmt.Errorf("the server is still starting: %w", ctx.Err())
	}
	if p.startErr != nil {
		s.release(p)
		return nil, fmt.Errorf("start the server with %q: %w%s", strings.Join(server.Spec.Command, " "), p.startErr, p.lastWords())
	}
	return p, nil
}

func (s *Servers) release(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.users--
	p.lastUsed = s.opts.Now()
	if p.users == 0 && s.retired[p] {
		delete(s.retired, p)
		s.end(p)
	}
}

// prepare makes the process's folder, command and environment; s.mu is held.
func (s *Servers) prepare(server *spec.ToolServer, given given) (*process, error) {
	if len(server.Spec.Command) == 0 {
		return nil, fmt.Errorf("%s: the command is empty", server.Place.File)
	}
	dir, err := filepath.Abs(filepath.Join(s.opts.Dir, server.Name))
	if err != nil {
		return nil, fmt.Errorf("find its folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make its folder: %w", err)
	}
	path, _ := s.opts.Env("PATH")
	env := append([]string{"PATH=" + path, "HOME=" + dir}, given.env...)
	command := append([]string{}, server.Spec.Command...)
	if command[0] == "mainstay" {
		command[0] = s.opts.Self
	}
	p := newProcess(server.Name, command, env, dir, given.secrets, s.opts.Logger)
	p.given = given
	return p, nil
}
