package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

// loopExecutable builds the reference runtime as the executable of its own that it is when installed: static, so that no loader runs.
func loopExecutable(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "mainstay-loop")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../../plugins/loop/mainstay-loop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}

func loopHost(b *testing.B) (*host.Host, string) {
	path := loopExecutable(b)
	return newHost(b, func(o *host.Options) {
		o.Runtimes = func(string) (host.Runtime, error) { return host.Runtime{Path: path}, nil }
	}), path
}

const modelAnswer = `{"text":"hello"}`

// firstAnswer declares an agent and does one run of it, whose model answers at once.
func firstAnswer(h *host.Host, name spec.AgentName) error {
	if err := h.Start(host.Agent{Name: name, Digest: "d", Runtime: "loop"}); err != nil {
		return err
	}
	s, err := h.Open(context.Background(), name, host.Start{Run: "run", Task: "hello"})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := s.Recv()
	if err != nil {
		return err
	}
	if err := s.Answer(m.ID, m.Request.Kind, spec.Answer{Body: []byte(modelAnswer)}); err != nil {
		return err
	}
	if m, err = s.Recv(); err != nil || m.Result == nil {
		return fmt.Errorf("the run ended with %+v: %w", m, err)
	}
	return nil
}

// bareAnswer does the same with go-plugin alone: no sandbox, no folder, no limits.
func bareAnswer(ctx context.Context, path, dir string) (end func(), err error) {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugins.Handshake, Plugins: plugin.PluginSet{plugins.Name: &plugins.Plugin{}}, Cmd: exec.Command(path),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, SkipHostEnv: true, Logger: hclog.NewNullLogger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
	})
	protocol, err := client.Client()
	if err != nil {
		return client.Kill, err
	}
	service, err := protocol.Dispense(plugins.Name)
	if err != nil {
		return client.Kill, err
	}
	stream, err := service.(pluginpb.RuntimeClient).Run(ctx)
	if err != nil {
		return client.Kill, err
	}
	if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: &pluginpb.Start{Run: "run", Agent: "a", Task: "hello"}}}); err != nil {
		return client.Kill, err
	}
	m, err := stream.Recv()
	if err != nil {
		return client.Kill, err
	}
	answer, err := plugins.AnswerTo(m.GetRequest().GetId(), spec.RequestModel, []byte(modelAnswer))
	if err != nil {
		return client.Kill, err
	}
	if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: answer}}); err != nil {
		return client.Kill, err
	}
	if m, err = stream.Recv(); err == nil && m.GetResult() == nil {
		err = fmt.Errorf("the run ended with %v", m)
	}
	return client.Kill, err
}

// BenchmarkColdStart is the time from a declared agent without a process to the end of its first run, with the reference
// runtime behind all walls, without a control group, without namespaces and behind no wall, and with the same executable under go-plugin alone; in
// turn, so that a busy machine hinders all alike.
func BenchmarkColdStart(b *testing.B) {
	h, path := loopHost(b)
	shared, _ := loopHost(b)
	host.WithoutWalls(shared, host.Namespaces)
	open, _ := loopHost(b)
	host.WithoutWalls(open, allWalls)
	ungrouped, _ := loopHost(b)
	host.WithoutWalls(ungrouped, host.Cgroup)
	var walled, noGroup, noNamespaces, noWall, bare []time.Duration
	for b.Loop() {
		for h, all := range map[*host.Host]*[]time.Duration{h: &walled, ungrouped: &noGroup, shared: &noNamespaces, open: &noWall} {
			begin := time.Now()
			if err := firstAnswer(h, "a"); err != nil {
				b.Fatal(err)
			}
			*all = append(*all, time.Since(begin))
			if err := h.Stop(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
		}
		begin := time.Now()
		end, err := bareAnswer(b.Context(), path, b.TempDir())
		bare = append(bare, time.Since(begin))
		end()
		if err != nil {
			b.Fatal(err)
		}
	}
	report(b, "sandboxed", walled)
	report(b, "no-cgroup", noGroup)
	report(b, "no-namespaces", noNamespaces)
	report(b, "no-wall", noWall)
	report(b, "go-plugin", bare)
	b.ReportMetric(ms(middle(walled)-middle(bare)), "ms-more-p50")
	b.ReportMetric(ms(slices.Min(walled)-slices.Min(bare)), "ms-more-min")
}

// BenchmarkHundredColdStarts starts a hundred agents at once, each until the end of its first run; and in turn the same executable as
// often under go-plugin alone. The ratio is that of their medians.
func BenchmarkHundredColdStarts(b *testing.B) {
	h, path := loopHost(b)
	dirs := make([]string, 100)
	for i := range dirs {
		dirs[i] = b.TempDir()
	}
	var walled, bare []time.Duration
	for b.Loop() {
		walled = append(walled, hundred(b, func(i int) error { return firstAnswer(h, spec.AgentName(fmt.Sprint("a", i))) }))
		for i := range dirs {
			if err := h.Stop(b.Context(), spec.AgentName(fmt.Sprint("a", i))); err != nil {
				b.Fatal(err)
			}
		}
		ends := make([]func(), len(dirs))
		bare = append(bare, hundred(b, func(i int) (err error) {
			ends[i], err = bareAnswer(b.Context(), path, dirs[i])
			return err
		}))
		var over sync.WaitGroup
		for _, end := range ends {
			over.Go(end)
		}
		over.Wait()
	}
	report(b, "hundred", walled)
	report(b, "hundred-go-plugin", bare)
	b.ReportMetric(float64(middle(walled))/float64(middle(bare)), "ratio")
}

// hundred does something a hundred times at once, and returns how long all of it took.
func hundred(b *testing.B, do func(i int) error) time.Duration {
	errs := make([]error, 100)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkIdleAgents is what the host keeps for each of 200 agents that are declared and have nothing to do.
func BenchmarkIdleAgents(b *testing.B) {
	h, _ := loopHost(b)
	if err := h.Check(b.Context(), host.Agent{Name: "a", Runtime: "loop"}); err != nil {
		b.Fatal(err)
	}
	const agents = 200
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range agents {
			start(b, h, host.Agent{Name: spec.AgentName(fmt.Sprint("agent-", i)), Digest: "sha256:d", Runtime: "loop"})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if left := children(b); len(left) > 0 {
			b.Fatalf("idle agents have the processes %v", left)
		}
		for i := range agents {
			if err := h.Stop(b.Context(), spec.AgentName(fmt.Sprint("agent-", i))); err != nil {
				b.Fatal(err)
			}
		}
	}
	grown := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
	b.ReportMetric(float64(max(grown, 0))/agents, "bytes/idle-agent")
}

func report(b *testing.B, what string, all []time.Duration) {
	b.ReportMetric(ms(middle(all)), "ms-"+what+"-p50")
	b.ReportMetric(ms(slices.Min(all)), "ms-"+what+"-min")
}

func middle(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
