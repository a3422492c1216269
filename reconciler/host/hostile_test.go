package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
	"github.com/mainstay-dev/mainstay/reconciler/host"
)

// grandchild is the argument of a process that an agent leaves behind.
const grandchild = "mainstay-test-grandchild"

// The test binary is also the runtime: its first argument says how it misbehaves as a process, and the task of a run how
// it misbehaves as an agent.
func TestMain(m *testing.M) {
	if os.Getenv(plugins.Handshake.MagicCookieKey) == plugins.Handshake.MagicCookieValue {
		serve(os.Args[1:])
		return
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], grandchild) {
		time.Sleep(20 * time.Second)
		return
	}
	if program(os.Args) {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "doomed-host" {
		doomedHost(os.Args[2], os.Args[3:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "hardened-host" {
		hardenedHost(os.Args[2])
		return
	}
	status := m.Run()
	host.SweepGroups()
	os.Exit(status)
}

func serve(args []string) {
	switch args[0] {
	case "silent":
		time.Sleep(time.Hour)
	case "garbage":
		fmt.Println("\x1b[2JHello, I am a\x07 web server")
		time.Sleep(time.Hour)
	case "endless line":
		for {
			fmt.Print(strings.Repeat("x", 64<<10))
		}
	case "dies":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(7)
	case "elsewhere":
		fmt.Printf("1|1|%s|%s|grpc\n", args[1], args[2])
		time.Sleep(time.Hour)
	case "impostor":
		path := os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/plugin1"
		if err := os.Symlink(args[1], path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("1|1|unix|%s|grpc\n", path)
		time.Sleep(time.Hour)
	case "stubborn", "undying":
		plugins.Serve(plugins.Info{Name: "hostile"}, agent)
		time.Sleep(time.Hour)
	case "bare":
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: plugins.Handshake,
			Plugins:         plugin.PluginSet{plugins.Name: &plugins.Plugin{Runtime: bare{}}},
			GRPCServer:      plugin.DefaultGRPCServer,
		})
	default:
		plugins.Serve(plugins.Info{Name: "hostile", Version: "1"}, agent)
	}
}

func agent(ctx context.Context, run *plugins.Run) (string, error) {
	verb, rest, _ := strings.Cut(run.Task(), " ")
	switch verb {
	case "say":
		return rest, nil
	case "ask":
		answer, err := run.Model(ctx, plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: rest}}}, nil)
		return answer.Text, err
	case "exit":
		fmt.Fprintln(os.Stderr, "out of luck")
		time.Sleep(50 * time.Millisecond) // stderr goes through go-plugin's pipe
		os.Exit(3)
	case "hang", "stop":
		select {}
	case "flood":
		for {
			fmt.Println(strings.Repeat("x", 8<<10))
		}
	case "large":
		var n int
		_, _ = fmt.Sscan(rest, &n)
		return strings.Repeat("x", n), nil
	case "eat":
		var all [][]byte
		for {
			piece := make([]byte, 16<<20)
			for i := range piece {
				piece[i] = 1
			}
			all = append(all, piece)
			_ = all
		}
	case "panic":
		panic("oops")
	}
	return probe(verb, rest)
}

// bare speaks the protocol without the SDK, which would keep an agent from the worst.
type bare struct {
	pluginpb.UnimplementedRuntimeServer
}

func (bare) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{Name: "bare", ProtocolVersions: []uint32{1}}, nil
}

func (bare) Run(stream grpc.BidiStreamingServer[pluginpb.HostMessage, pluginpb.AgentMessage]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	request := func(id uint64, lane string) *pluginpb.AgentMessage {
		r, _ := plugins.NewRequest(id, lane, plugins.TimeRequest{})
		return &pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Request{Request: r}}
	}
	result := func(output string) *pluginpb.AgentMessage {
		return &pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Result{Result: &pluginpb.Result{Output: output}}}
	}
	for id := uint64(1); ; id++ {
		var message *pluginpb.AgentMessage
		switch first.GetStart().GetTask() {
		case "requests":
			message = request(id, "main")
		case "logs":
			message = &pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Log{Log: &pluginpb.Log{Text: strings.Repeat("x", 8<<10)}}}
		case "nothing":
			message = &pluginpb.AgentMessage{}
		case "bad lanes":
			message = request(id, "\x1b[2J")
		case "the same id":
			message = request(7, "main")
		case "no id":
			message = request(0, "main")
		case "5 MiB":
			message = result(strings.Repeat("x", 5<<20))
		case "two results":
			message = result("x")
		case "silence":
			return nil
		case "an unknown request":
			if id > 1 {
				refusal, err := stream.Recv()
				if err != nil {
					return err
				}
				return stream.Send(result(refusal.GetAnswer().GetRefusal().GetCode()))
			}
			message = &pluginpb.AgentMessage{Body: &pluginpb.AgentMessage_Request{Request: &pluginpb.Request{Id: id}}}
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}

// probe tries something and says how far it came: an error is how it was kept from it.
func probe(verb, rest string) (string, error) {
	switch verb {
	case "environment":
		return strings.Join(os.Environ(), "\n"), nil
	case "read":
		b, err := os.ReadFile(rest)
		return string(b), err
	case "list":
		entries, err := os.ReadDir(rest)
		return fmt.Sprint(entries), err
	case "write":
		return "written", os.WriteFile(rest, []byte("x"), 0o600)
	case "private":
		return os.TempDir(), nil
	case "dial":
		network, address, _ := strings.Cut(rest, " ")
		conn, err := net.DialTimeout(network, address, time.Second)
		if err != nil {
			return "", err
		}
		_, err = conn.Write([]byte("x"))
		return "connected", errors.Join(err, conn.Close())
	case "datagram":
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
		if err != nil {
			return "", err
		}
		return "sent", syscall.Sendto(fds[0], []byte("x"), 0, &syscall.SockaddrUnix{Name: rest})
	case "attack":
		return attack(rest)
	case "shell": // with the PATH, so that it finds others
		return execute("sh", "-c", "PATH="+os.Getenv("PATH")+"\n"+rest)
	case "execute":
		var words []string
		if err := json.Unmarshal([]byte(rest), &words); err != nil {
			return "", err
		}
		return execute(words[0], words[1:]...)
	case "ids":
		return fmt.Sprint(os.Getuid(), os.Getgid(), os.Getpid()), nil
	}
	return "", fmt.Errorf("unknown task %q", verb)
}

// doomedHost starts an agent, tells its process, and waits to be killed. With a mark, the process of the agent is shut in by its control
// group alone, and leaves another behind.
func doomedHost(dir string, mark []string) {
	h := host.New(host.Options{Dir: dir, Runtimes: runtimes("undying")})
	if len(mark) > 0 {
		if err := abandon(h, mark[0]); err != nil {
			fmt.Println(err)
			return
		}
	}
	s, err := hello(h)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.PID())
	time.Sleep(time.Hour)
}

// abandon has an agent leave a process behind.
func abandon(h *host.Host, mark string) error {
	host.WithoutWalls(h, allWalls&^host.Cgroup)
	prey, err := json.Marshal(map[string]string{"Mark": mark})
	if err != nil {
		return err
	}
	if err := h.Start(agentA); err != nil {
		return err
	}
	s, err := h.Open(context.Background(), "a", host.Start{Run: "run", Task: "attack leave a grandchild behind|" + string(prey)})
	if err != nil {
		return err
	}
	m, err := s.Recv()
	if err == nil && m.Failure != nil {
		err = errors.New(m.Failure.Message)
	}
	return err
}

// hello starts an agent and a run on it.
func hello(h *host.Host) (*host.Session, error) {
	if err := h.Start(agentA); err != nil {
		return nil, err
	}
	return h.Open(context.Background(), "a", host.Start{Run: "run", Task: "hang"})
}

// hardenedHost shows that a host that no one can look into still works.
func hardenedHost(dir string) {
	if err := host.Harden(); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := os.Executable(); err != nil {
		fmt.Println(err)
		return
	}
	h := host.New(host.Options{Dir: dir, Runtimes: runtimes("honest")})
	defer h.Close(context.Background())
	if _, err := hello(h); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// runtimes makes every runtime the test binary with these arguments.
func runtimes(args ...string) func(string) (host.Runtime, error) {
	return func(string) (host.Runtime, error) {
		self, err := os.Executable()
		return host.Runtime{Path: self, Args: args}, err
	}
}
