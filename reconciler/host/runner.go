package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxHandshake is the longest handshake line, in bytes.
const maxHandshake = 4 << 10

// runner starts a process for go-plugin. It shows go-plugin the first line of stdout and nothing else, so that no output
// can wedge either side, and keeps the rest itself.
type runner struct {
	prog program
	// sockets is the folder that go-plugin made for the process's socket.
	sockets string
	out     *output

	// line carries the first line of stdout to go-plugin.
	line      *io.PipeReader
	lineWrite *io.PipeWriter
	reading   sync.WaitGroup

	mu        sync.Mutex
	proc      *process
	handshake string
	address   string
	cancelled bool
}

func newRunner(prog program, out *output) *runner {
	r := &runner{prog: prog, out: out}
	r.line, r.lineWrite = io.Pipe()
	return r
}

// Start implements go-plugin's runner.Runner, as all exported methods here.
func (r *runner) Start(context.Context) error {
	if r.prog.uid >= 0 {
		if err := os.Chown(r.sockets, r.prog.uid, r.prog.uid); err != nil {
			return fmt.Errorf("give the socket's folder to its user: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelled {
		return errors.New("stopped before it was started")
	}
	proc, err := launch(r.prog)
	if err != nil {
		return err
	}
	r.proc = proc
	r.reading.Add(2)
	go func() {
		defer r.reading.Done()
		defer proc.stdout.Close()
		r.readStdout(proc.stdout)
	}()
	go func() {
		defer r.reading.Done()
		defer proc.stderr.Close()
		r.read(proc.stderr)
	}()
	return nil
}

func (r *runner) readStdout(stdout *os.File) {
	reader := bufio.NewReaderSize(stdout, maxHandshake)
	line, err := reader.ReadSlice('\n')
	r.mu.Lock()
	r.handshake = strings.TrimSpace(string(line))
	r.mu.Unlock()
	if err == nil {
		_, _ = r.lineWrite.Write(line)
	}
	_ = r.lineWrite.Close()
	if n := reader.Buffered(); n > 0 {
		_, _ = io.CopyN(r.out, reader, int64(n))
	}
	r.read(stdout)
}

// read reads what a process prints, to the end. Where the time that is given for it after the process's end is over, on a busy machine
// before this had its turn, what lies in the pipe is read all the same.
func (r *runner) read(from *os.File) {
	const pipe = 64 << 10
	if _, err := io.Copy(r.out, from); errors.Is(err, os.ErrDeadlineExceeded) {
		_ = from.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _ = io.CopyN(r.out, from, pipe)
	}
}

// first is the first line the process printed, for people.
func (r *runner) first() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return printable(r.handshake)
}

// listens is the path of the socket that the process named and PluginToHost accepted.
func (r *runner) listens() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.address
}

func (r *runner) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc
}

// stop ends the process, or keeps it from being started.
func (r *runner) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancelled = true
	if r.proc != nil {
		r.proc.kill()
	}
}

// Wait returns when the process is gone and its output is read.
func (r *runner) Wait(context.Context) error {
	<-r.process().exited
	_ = r.line.Close()
	r.reading.Wait()
	return nil
}

func (r *runner) Kill(context.Context) error {
	r.stop()
	return nil
}

func (r *runner) ID() string {
	if p := r.process(); p != nil {
		return strconv.Itoa(p.pid)
	}
	return ""
}

func (r *runner) Name() string                    { return r.prog.path }
func (r *runner) Diagnose(context.Context) string { return "" }
func (r *runner) Stdout() io.ReadCloser           { return r.line }
func (r *runner) Stderr() io.ReadCloser           { return io.NopCloser(strings.NewReader("")) }

// PluginToHost accepts the address that the process names only where it is a socket in its own folder: the process must
// not make the host talk to someone else. The dialer checks who answers there, too.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("the runtime listens on %s: it must listen on a unix socket", network)
	}
	if filepath.Dir(filepath.Clean(address)) != r.sockets {
		return "", "", fmt.Errorf("the runtime listens at %q: it must listen in the folder that PLUGIN_UNIX_SOCKET_DIR names", address)
	}
	info, err := os.Lstat(address)
	if err != nil {
		return "", "", fmt.Errorf("look at the runtime's socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return "", "", fmt.Errorf("the runtime's address %q is not a socket", address)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.address = filepath.Clean(address)
	return network, r.address, nil
}

func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
