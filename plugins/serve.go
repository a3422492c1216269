package plugins

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// Agent is one run of an agent: it does the task and returns what it has to say. It runs in a goroutine of its own, many
// at once in one process. It must keep nothing outside the run, and must stop when ctx ends. An error or a panic fails the
// run and leaves the process alone; a panic in a goroutine that it started itself ends the process.
type Agent func(ctx context.Context, run *Run) (output string, err error)

// Info says who a runtime is.
type Info struct {
	// Name is the runtime's name, such as "loop".
	Name string
	// Version is for people.
	Version string
	// Features are what the agent does beyond what every runtime must: [FeatureCheck], or nothing.
	Features []string
}

// Serve makes this process a runtime, and returns when the host is done with it. Where the process was not started by a
// host it tells so on stderr and exits with status 1. It takes over stdout, which belongs to the handshake.
func Serve(info Info, agent Agent) {
	if os.Getenv(Handshake.MagicCookieKey) != Handshake.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "This is the agent runtime %s, version %s. Mainstay starts it; it does nothing for a person.\n"+
			"To test it: mainstay plugin test %s\n", info.Name, info.Version, strings.Join(os.Args, " "))
		os.Exit(1)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake,
		Plugins:         plugin.PluginSet{Name: &Plugin{Runtime: NewServer(info, agent)}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
				grpc.StaticStreamWindowSize(Window), grpc.StaticConnWindowSize(Window))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr, JSONFormat: true}),
	})
}

// cancelGrace is how long an agent may take to return after a cancellation before its run is ended without it.
const cancelGrace = time.Second

// NewServer returns what Serve serves, for those who bring their own connection, such as a test.
func NewServer(info Info, agent Agent) pluginpb.RuntimeServer {
	return &server{info: info, agent: agent}
}

type server struct {
	pluginpb.UnimplementedRuntimeServer
	info  Info
	agent Agent
}

func (s *server) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{
		Name: s.info.Name, Version: s.info.Version, ProtocolVersions: []uint32{ProtocolVersion}, Features: s.info.Features,
	}, nil
}

type outcome struct {
	output string
	err    error
}

// Run serves one run: it starts the agent, gives it the answers, and reports how it ended.
func (s *server) Run(stream grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil {
		return status.Error(codes.InvalidArgument, "the first message of a run must be start")
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	wire := newWire(stream, cancel)
	run := newRun(wire, first.GetStart())

	go wire.receive(ctx) // ends with the stream, at the latest when this call returns
	ended := make(chan outcome, 1)
	go func() { ended <- s.call(ctx, run) }()

	var end outcome
	select {
	case end = <-ended:
	case <-ctx.Done():
		select {
		case end = <-ended:
		case <-time.After(cancelGrace):
			end.err = context.Cause(ctx)
		}
		if end.err != nil {
			end.err = context.Cause(ctx)
		}
	}
	return wire.finish(end)
}

// call turns a panic into a failure: the process serves other runs too.
func (s *server) call(ctx context.Context, run *Run) (end outcome) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "panic in run %s: %v\n%s", run.ID(), p, debug.Stack())
			end = outcome{err: fmt.Errorf("panic: %v", p)}
		}
	}()
	output, err := s.agent(ctx, run)
	return outcome{output: output, err: err}
}
