package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// process is one run of a server. It starts once and ends once.
type process struct {
	cmd    *exec.Cmd
	log    *slog.Logger
	stderr *tail
	hide   *secret.Hider // takes secrets out of what the server says of its tools

	// users, lastUsed and given belong to Servers, under its lock.
	users    int
	lastUsed time.Time
	given    given

	starting context.Context // ends when the start is given up
	giveUp   context.CancelFunc
	ready    chan struct{}  // closed when start is over
	startErr error          // read after ready
	client   *client.Client // read after ready, as stdin is; nil where the process could not be started

	closing  chan struct{} // closed when the server can be used no more: it has ended, or its output has
	closed   sync.Once
	tooLong  atomic.Bool   // it has written a message over the limit
	done     chan struct{} // closed when the process is gone
	exitErr  error         // read after done
	stale    atomic.Bool   // it has said that its tools have changed since they were listed
	listLock sync.Mutex
	listed   map[string]Schema
	lists    int // how often it was listed

	// passed is what its tools were last compared with and found to be; it belongs to Servers, under its lock.
	passed passed
}

func newProcess(name string, command, env []string, dir string, secrets []string, log *slog.Logger) *process {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = env
	cmd.SysProcAttr = ownGroup()
	// A grandchild that keeps stderr open must not keep Wait from returning.
	cmd.WaitDelay = stopTimeout
	starting, giveUp := context.WithTimeout(context.Background(), startTimeout)
	p := &process{
		cmd: cmd, log: log.With("server", name), stderr: newTail(secrets), hide: secret.NewHider(secrets, secret.MinHidden),
		starting: starting, giveUp: giveUp,
		ready: make(chan struct{}), closing: make(chan struct{}), done: make(chan struct{}),
	}
	cmd.Stderr = p.stderr
	return p
}

// start starts the process and shakes hands. It closes ready in any case.
func (p *process) start() {
	defer close(p.ready)
	defer p.giveUp()
	if p.startErr = p.spawn(); p.startErr != nil {
		p.close()
		close(p.done)
		return
	}
	if p.startErr = p.shakeHands(); p.startErr != nil {
		if p.ended() {
			p.startErr = fmt.Errorf("it ended at once: %w", p.reason())
		}
		p.halt()
		return
	}
	p.log.Debug("tool server started", "pid", p.cmd.Process.Pid)
}

func (p *process) shakeHands() error {
	// The client keeps this context for what the server asks it, so it must not end with the start.
	if err := p.client.Start(context.Background()); err != nil {
		return err
	}
	request := mcp.InitializeRequest{}
	request.Params.ClientInfo = mcp.Implementation{Name: "mainstay", Version: "v1alpha1"}
	if _, err := p.client.Initialize(p.starting, request); err != nil {
		return fmt.Errorf("it does not answer as an MCP server: %w", p.hide.Error(err))
	}
	return nil
}

// spawn starts the process and a goroutine that waits for its end.
func (p *process) spawn() error {
	stdinRead, stdinWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	stdoutRead, stdoutWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdinRead.Close(), stdinWrite.Close())
	}
	p.cmd.Stdin, p.cmd.Stdout = stdinRead, stdoutWrite
	started := make(chan error)
	go func() {
		// On Linux the system kills the server when the thread that started it ends, so that no server outlives a killed
		// host. The thread is kept for that as long as the process lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		stdinRead.Close()
		stdoutWrite.Close()
		started <- err
		if err != nil {
			return
		}
		p.exitErr = p.cmd.Wait()
		killGroup(p.cmd)
		close(p.done)
		p.close()
		// What the server wrote before its end may still be in the pipe. A grandchild that left the group may hold the
		// pipe open for ever.
		time.AfterFunc(stopTimeout, func() { stdoutRead.Close() })
		p.log.Debug("tool server ended", "err", p.exitErr)
	}()
	if err := <-started; err != nil {
		stdinWrite.Close()
		stdoutRead.Close()
		return err
	}
	output := &lines{r: stdoutRead, end: p.outputEnded}
	p.client = client.NewClient(&wire{Stdio: transport.NewIO(output, newInput(stdinWrite), nil), closing: p.closing},
		client.WithMaxInputRoundTrips(1))
	p.client.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == mcp.MethodNotificationToolsListChanged {
			p.stale.Store(true)
		}
	})
	return nil
}

// outputEnded is called once the server's output is read no more. A server that closed it usually exits by itself; its
// exit status is worth a moment.
func (p *process) outputEnded(tooLong bool) {
	if tooLong {
		p.tooLong.Store(true)
		killGroup(p.cmd)
	}
	p.close()
	time.AfterFunc(stopTimeout, func() {
		select {
		case <-p.done:
		default:
			killGroup(p.cmd)
		}
	})
}

func (p *process) close() { p.closed.Do(func() { close(p.closing) }) }

// stop gives a start up, or ends the running process, and returns when the process is gone.
func (p *process) stop() {
	p.giveUp()
	<-p.ready
	p.halt()
}

// halt ends the process: first its input ends, as MCP asks for, then it is told to stop, then its group is killed.
func (p *process) halt() {
	if p.client == nil {
		return
	}
	p.client.Close()
	for _, harder := range []func(*exec.Cmd){terminateGroup, killGroup} {
		timer := time.NewTimer(stopTimeout)
		select {
		case <-p.done:
			timer.Stop()
			return
		case <-timer.C:
			harder(p.cmd)
		}
	}
	<-p.done
}

// ended reports whether the server can be used no more.
func (p *process) ended() bool {
	select {
	case <-p.closing:
		return true
	default:
		return false
	}
}

// reason says why a server that has ended did so.
func (p *process) reason() error {
	if p.tooLong.Load() {
		return fmt.Errorf("it wrote a message longer than %d bytes and was stopped", maxLine)
	}
	<-p.done // at most stopTimeout away, see outputEnded
	if p.exitErr == nil {
		return errors.New("exit status 0")
	}
	return p.exitErr
}

// lastWords is the end of what the server wrote on stderr, as the end of an error.
func (p *process) lastWords() string {
	text := strings.TrimSpace(p.stderr.String())
	if text == "" {
		return ""
	}
	all := strings.Split(text, "\n")
	return fmt.Sprintf("; its stderr ends with %q", strings.Join(all[max(0, len(all)-maxWords):], "\n"))
}

// schemas asks the server once, and again after it has said that its tools have changed.
func (p *process) schemas(ctx context.Context) (listed map[string]Schema, lists int, err error) {
	p.listLock.Lock()
	defer p.listLock.Unlock()
	if p.stale.Swap(false) {
		p.listed = nil
	}
	if p.listed != nil {
		return p.listed, p.lists, nil
	}
	listed = map[string]Schema{}
	request := mcp.ListToolsRequest{}
	for {
		page, err := p.client.ListToolsByPage(ctx, request)
		if err != nil {
			return nil, 0, p.hide.Error(err)
		}
		for _, t := range page.Tools {
			schema, err := hideIn(t.InputSchema, p.hide)
			if err != nil {
				return nil, 0, fmt.Errorf("schema of %s: %w", spec.Escaped(t.Name), err)
			}
			listed[t.Name] = Schema{Description: p.hide.Text(t.Description), InputSchema: schema, Annotations: hints(t.Annotations)}
		}
		if len(listed) > maxTools {
			return nil, 0, fmt.Errorf("the server lists more than %d tools", maxTools)
		}
		if page.NextCursor == "" || page.NextCursor == request.Params.Cursor || len(page.Tools) == 0 {
			break
		}
		request.Params.Cursor = page.NextCursor
	}
	p.listed = listed
	p.lists++
	return p.listed, p.lists, nil
}

// tail keeps the last bytes that are written to it, without the secrets that the server was given: what is kept may begin
// anywhere, also where one was.
type tail struct {
	mu    sync.Mutex
	clean *secret.Stream
	buf   bytes.Buffer
}

func newTail(secrets []string) *tail {
	t := &tail{}
	hider := secret.NewHider(secrets, 1)
	t.clean = secret.NewStream(func() *secret.Hider { return hider }, func(text string) {
		t.buf.WriteString(text)
		if over := t.buf.Len() - maxStderr; over > 0 {
			t.buf.Next(over)
		}
	})
	return t
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clean.Write(string(b))
	return len(b), nil
}

// String returns what is kept. A line whose beginning was dropped is left out.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.buf.String()
	if len(text) >= maxStderr {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.ToValidUTF8(text+t.clean.Rest(), "\uFFFD")
}

// lines reads a server's messages and ends when one is too long: the library that reads it would keep all of it.
type lines struct {
	r   io.Reader
	end func(tooLong bool)
	n   int
}

// Read reads from the server. However its output ends, the end is io.EOF, because the server is gone then.
func (l *lines) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		l.n = n - i - 1
	} else {
		l.n += n
	}
	if err != nil || l.n > maxLine {
		l.end(l.n > maxLine)
		err = io.EOF
	}
	return n, err
}
