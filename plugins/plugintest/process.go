package plugintest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// process is the runtime's process, and the connection to it.
type process struct {
	cmd     *exec.Cmd
	dir     string
	address string
	conn    *grpc.ClientConn
	runtime pluginpb.RuntimeClient
	out     *output
	// exited is closed when the process is gone; ending says how, and is set before.
	exited chan struct{}
	ending string
}

// start starts a process as the host does, with an empty environment but for the handshake's and in a folder of its own, and
// returns when it answers the health service. Where it does not, nothing is left.
func start(ctx context.Context, o Options) (*process, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	p := &process{out: newOutput(), exited: make(chan struct{})}
	if f := p.execute(o); f != nil {
		return nil, f
	}
	f := p.connect(ctx)
	if f != nil {
		p.kill()
		return nil, f
	}
	return p, nil
}

func (p *process) execute(o Options) *Failure {
	const expected = "the path of a file that can be executed: a program of this machine, or a script with a #! line"
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return &Failure{expected, err.Error()}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return &Failure{expected, err.Error()}
	case info.IsDir():
		return &Failure{expected, path + " is a folder"}
	}
	if p.dir, err = folder(); err != nil {
		return &Failure{"a folder for the process", err.Error()}
	}
	sockets := filepath.Join(p.dir, "s")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		return &Failure{"a folder for the process", err.Error()}
	}
	p.cmd = exec.Command(path, o.Args...)
	p.cmd.Dir = p.dir
	// These are what go-plugin and the host set, and nothing else.
	p.cmd.Env = []string{
		plugins.Handshake.MagicCookieKey + "=" + plugins.Handshake.MagicCookieValue,
		"PLUGIN_MIN_PORT=10000", "PLUGIN_MAX_PORT=25000",
		fmt.Sprintf("PLUGIN_PROTOCOL_VERSIONS=%d", plugins.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR=" + sockets, "TMPDIR=" + p.dir, "GOMAXPROCS=1",
	}
	ownGroup(p.cmd)
	p.cmd.WaitDelay = time.Second // for what a grandchild holds open
	stdout, theirs := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = theirs, &p.out.stderr
	if err := p.cmd.Start(); err != nil {
		_ = os.RemoveAll(p.dir)
		return &Failure{expected, err.Error()}
	}
	go p.out.readStdout(stdout)
	go func() {
		err := p.cmd.Wait()
		_ = theirs.Close()
		<-p.out.over
		p.ending = "it exited with status 0"
		if err != nil {
			p.ending = "it ended: " + err.Error()
		}
		close(p.exited)
	}()
	return nil
}

// maxFolder is the longest path of the process's folder, in bytes: a unix socket's path has room for 107 (for 103 on macOS), and
// runtimes choose the name in it.
const maxFolder = 60

// folder makes a private folder, in the system's temporary one unless that is too far down.
func folder() (string, error) {
	parent := os.TempDir()
	if len(parent) > maxFolder-len("/mainstay-0123456789") && os.PathSeparator == '/' {
		parent = "/tmp"
	}
	return os.MkdirTemp(parent, "mainstay-")
}

// connect reads the handshake's line and connects as go-plugin does.
func (p *process) connect(ctx context.Context) *Failure {
	expected := fmt.Sprintf("on stdout, as its first line, %d|%d|unix|SOCKET|grpc within %s, with a SOCKET in the folder that PLUGIN_UNIX_SOCKET_DIR names",
		coreVersion, plugins.ProtocolVersion, timeLeft(ctx))
	select {
	case <-p.out.first:
	case <-p.exited:
	case <-ctx.Done():
		return &Failure{expected, "nothing" + p.words()}
	}
	line, complete := p.out.handshake()
	if len(line) >= maxHandshake {
		return &Failure{expected, fmt.Sprintf("a line of more than %d bytes that begins with %q", maxHandshake, line[:100])}
	}
	if !complete {
		select {
		case <-p.exited:
			return &Failure{expected, p.ending + " before it printed the line" + p.words()}
		case <-ctx.Done():
			return &Failure{expected, "the beginning of a line that does not end: " + shorten(line, maxText)}
		}
	}
	address, err := parseHandshake(line)
	if err == nil {
		err = isSocketIn(filepath.Join(p.dir, "s"), address)
	}
	if err != nil {
		return &Failure{expected, fmt.Sprintf("%q: %v", shorten(line, maxText), err)}
	}
	p.address = address
	p.conn, err = grpc.NewClient("passthrough:unused", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}),
		// A message that is too large is sent all the same, for a check, and the runtime's are held to the limit.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(plugins.MaxMessage), grpc.MaxCallSendMsgSize(16*plugins.MaxMessage)))
	if err != nil {
		return &Failure{"a socket that can be connected to", err.Error()}
	}
	p.runtime = pluginpb.NewRuntimeClient(p.conn)
	health, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: healthService})
	if err != nil {
		return &Failure{"the standard health service on the socket, with the service \"" + healthService + "\" SERVING", p.why(err)}
	}
	if health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return &Failure{"the health service says that \"" + healthService + "\" is SERVING", "it is " + health.GetStatus().String()}
	}
	return nil
}

// The versions and names of go-plugin.
const (
	coreVersion   = 1
	healthService = "plugin"
	shutdown      = "/plugin.GRPCController/Shutdown"
)

// parseHandshake returns the address in a handshake line.
func parseHandshake(line string) (string, error) {
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 5 {
		return "", errors.New("it must have five or more parts with bars between them")
	}
	for i, want := range []string{fmt.Sprint(coreVersion), fmt.Sprint(plugins.ProtocolVersion), "unix", "", "grpc"} {
		if want != "" && parts[i] != want {
			return "", fmt.Errorf("part %d is %q and must be %q", i+1, parts[i], want)
		}
	}
	if !filepath.IsAbs(parts[3]) {
		return "", fmt.Errorf("part 4 is %q and must be an absolute path", parts[3])
	}
	return filepath.Clean(parts[3]), nil
}

// isSocketIn returns an error unless the address is a socket in the folder.
func isSocketIn(folder, address string) error {
	// The temporary folder can have two names, as on macOS.
	in, err := filepath.EvalSymlinks(filepath.Dir(address))
	if err != nil {
		return err
	}
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return err
	}
	if in != folder {
		return fmt.Errorf("the socket is in %s and must be in %s, as PLUGIN_UNIX_SOCKET_DIR says", in, folder)
	}
	info, err := os.Lstat(address)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("the address is no socket")
	}
	return nil
}

// shutDown asks the process to leave, as the host does.
func (p *process) shutDown(ctx context.Context) error {
	return p.conn.Invoke(ctx, shutdown, &emptypb.Empty{}, &emptypb.Empty{})
}

// why says what an error of a call means: that the process is gone, if it is.
func (p *process) why(err error) string {
	select {
	case <-p.exited:
		return p.ending + p.words()
	case <-time.After(50 * time.Millisecond): // The connection is lost a little before the process is known to be gone.
		return err.Error() + p.words()
	}
}

// words are what the process printed last.
func (p *process) words() string {
	if words := p.out.stderr.last(); words != "" {
		return "; its last words on stderr: " + words
	}
	return ""
}

// kill ends the process and what it has started, and removes its folder.
func (p *process) kill() {
	select {
	case <-p.exited:
	default:
		killGroup(p.cmd)
		<-p.exited
	}
	if p.conn != nil {
		_ = p.conn.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// timeLeft is the time until ctx ends, for people.
func timeLeft(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline).Round(time.Second)
}

// output takes what a process prints.
type output struct {
	stderr tail
	// first is closed with the first line of stdout, and over when stdout has ended.
	first, over chan struct{}

	mu       sync.Mutex
	line     string
	complete bool
	// stdout counts the bytes after the first line, and longest is the longest line among them.
	stdout, longest int
}

func newOutput() *output { return &output{first: make(chan struct{}), over: make(chan struct{})} }

// maxHandshake is the longest first line that the host reads, in bytes.
const maxHandshake = 4 << 10

func (o *output) readStdout(stdout io.Reader) {
	defer close(o.over)
	reader := bufio.NewReaderSize(stdout, maxHandshake)
	line, err := reader.ReadSlice('\n')
	o.mu.Lock()
	o.line, o.complete = string(line), err == nil
	o.mu.Unlock()
	close(o.first)
	length := 0
	for {
		piece, err := reader.ReadSlice('\n')
		length += len(piece)
		o.mu.Lock()
		o.stdout += len(piece)
		o.longest = max(o.longest, length)
		o.mu.Unlock()
		if err == nil {
			length = 0
		} else if !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (o *output) handshake() (line string, complete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.line, o.complete
}

// tail keeps the end of what is written to it.
type tail struct {
	mu    sync.Mutex
	text  []byte
	total int
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += len(b)
	t.text = append(t.text, b...)
	if extra := len(t.text) - maxText; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.text), "\uFFFD"))
}
