package host

import (
	"context"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	pluginrunner "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

const (
	// startTimeout bounds a start, from the execution to the answer of Describe.
	startTimeout = 20 * time.Second
	// pingTimeout is how long a runtime that is up may take to answer Describe.
	pingTimeout = 5 * time.Second
	// stopGrace is how long a runtime may take to leave after it was asked to.
	stopGrace = 2 * time.Second
)

// instance is one life of an agent: a process, and the connection to it.
type instance struct {
	runner  *runner
	client  *plugin.Client
	runtime pluginpb.RuntimeClient
	proc    *process
	out     *output
	// images says that the runtime passes images on.
	images atomic.Bool
}

// startInstance starts a process and returns when it answers. Whatever goes wrong, no process is left.
func startInstance(ctx context.Context, prog program, out *output) (*instance, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it was not ready within %s", startTimeout))
	defer cancel()
	r := newRunner(prog, out)
	i := &instance{runner: r, out: out}
	i.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugins.Handshake,
		Plugins:          plugin.PluginSet{plugins.Name: &plugins.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       out,
		SyncStderr:       out,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: prog.dir},
		RunnerFunc: func(_ hclog.Logger, cmd *osexec.Cmd, sockets string) (pluginrunner.Runner, error) {
			r.sockets = sockets
			r.prog.env = append(slices.Clone(cmd.Env), prog.env...)
			return r, nil
		},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithContextDialer(i.dial),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(plugins.MaxMessage), grpc.MaxCallSendMsgSize(plugins.MaxMessage)),
			grpc.WithStaticStreamWindowSize(plugins.Window), grpc.WithStaticConnWindowSize(plugins.Window),
		},
	})
	// go-plugin's start takes no context: ending the process ends it.
	unwatch := context.AfterFunc(ctx, r.stop)
	defer unwatch()
	err := i.connect(ctx)
	if err != nil {
		r.stop()
		i.close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, i.explain(err)
	}
	return i, nil
}

func (i *instance) connect(ctx context.Context) error {
	if _, err := i.client.Start(); err != nil {
		line := i.runner.first()
		switch p := i.runner.process(); {
		case line != "" && strings.Count(line, "|") < 4:
			return fmt.Errorf("it printed %.200q where the handshake belongs", line)
		case line == "" && p != nil:
			p.kill()
			<-p.exited
			if p.signal != "SIGKILL" || p.reason() != "" { // Otherwise it may be the host that has lost patience.
				return fmt.Errorf("it %s before the handshake", strings.Replace(p.ending(), "ended by", "was ended by", 1))
			}
		}
		return err
	}
	i.proc = i.runner.process()
	protocol, err := i.client.Client()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	service, err := protocol.Dispense(plugins.Name)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	i.runtime = service.(pluginpb.RuntimeClient)
	return i.describe(ctx, pingTimeout)
}

// describe asks the runtime who it is. It is how the host knows that the runtime answers.
func (i *instance) describe(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	info, err := i.runtime.Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("ask it to describe itself: %w", err)
	}
	if !slices.Contains(info.GetProtocolVersions(), plugins.ProtocolVersion) {
		return fmt.Errorf("it speaks the protocol versions %v: version %d is needed", info.GetProtocolVersions(), plugins.ProtocolVersion)
	}
	i.images.Store(slices.Contains(info.GetFeatures(), plugins.FeatureImages))
	return nil
}

// explain adds to an error of the start what the process itself has to say.
func (i *instance) explain(err error) error {
	if words := i.out.words(); words != "" {
		return fmt.Errorf("%w; its last words: %s", err, words)
	}
	return err
}

func (i *instance) dial(ctx context.Context, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", i.runner.listens())
	if err != nil {
		return nil, err
	}
	if unix, ok := conn.(*net.UnixConn); ok {
		if err := checkPeer(unix, i.runner.process().pid); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// close asks the runtime to leave, ends its process if it does not, and frees what belonged to it. go-plugin's own Kill
// waits for ever on a stopped process, so the process is ended under it.
func (i *instance) close() {
	watchdog := time.AfterFunc(stopGrace, i.runner.stop)
	defer watchdog.Stop()
	i.client.Kill()
	if p := i.runner.process(); p != nil {
		i.runner.stop()
		_ = i.runner.Wait(context.Background())
	}
	_ = os.RemoveAll(i.runner.sockets)
}
