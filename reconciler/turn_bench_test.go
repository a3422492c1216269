package reconciler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// turnsOfARun is how many turns the benchmark's run has.
const turnsOfARun = 200

// BenchmarkTurn is one turn of an agent in its process, from the request to the answer in the agent's hands: through the protocol,
// the record on the disk and the broker. Beside it are the same model asked in a plain loop, what the turn takes more than that
// (at most one millisecond), and what of it one write that reaches the disk takes, and one request that is answered at once over
// go-plugin alone, by the same executable. All are medians, in microseconds.
func BenchmarkTurn(b *testing.B) {
	dir := b.TempDir()
	runtime := filepath.Join(dir, "mainstay-turns")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", runtime, "./testdata/turns")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	script, err := spec.NewScript("fake", []spec.ScriptRule{{Text: "All is well."}})
	if err != nil {
		b.Fatal(err)
	}
	agent := &spec.Agent{Name: "a", Model: &spec.Model{Spec: spec.ModelSpec{Provider: spec.ProviderScripted}, Script: script},
		Limits: spec.RunLimits{Turns: turnsOfARun, ToolCalls: 1, WallTime: time.Hour, OutputBytes: 1 << 20}}
	h := host.New(host.Options{Dir: filepath.Join(dir, "host"), Runtimes: func(string) (host.Runtime, error) { return host.Runtime{Path: runtime}, nil }})
	defer func() {
		if err := h.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	if err := h.Start(host.Agent{Name: agent.Name, Digest: "d", Runtime: "turns"}); err != nil {
		b.Fatal(err)
	}
	st, err := store.Open(b.Context(), store.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	r := &Reconciler{parts: Parts{Host: h}, broker: broker.New(broker.Options{
		Redactor: broker.NewRedactor(func() []string { return nil }), Now: time.Now, Random: rand.Reader,
	})}
	engine := run.New(run.Options{Log: st, Agents: oneAgent{r, agent}, Broker: answers{r}, Now: time.Now})

	var hosted, plain, disk, callback []time.Duration
	for b.Loop() {
		task := spec.Task{Run: run.NewID(time.Now(), rand.Reader), Agent: agent.Name, Text: "200", Revision: spec.NewRevision("main", "0123456789012345678901234567890123456789"), At: time.Now()}
		if _, err := st.Append(b.Context(), task.Run, 0, spec.Entry{Type: spec.EntryTask, At: task.At, Task: &task}); err != nil {
			b.Fatal(err)
		}
		sum, err := engine.Execute(b.Context(), task.Run)
		if err != nil || sum.Phase != spec.PhaseSucceeded {
			b.Fatalf("%+v %v", sum.Outcome, err)
		}
		var took []time.Duration
		if err := json.Unmarshal([]byte(sum.Outcome.Output), &took); err != nil {
			b.Fatal(err)
		}
		hosted = append(hosted, took...)
		plain = append(plain, plainLoop(b, agent.Model)...)
		disk = append(disk, writes(b, dir)...)
		callback = append(callback, callbacks(b, runtime)...)
	}
	turn, loop := median(hosted), median(plain)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(micros(turn), "turn-us")
	b.ReportMetric(micros(loop), "plain-us")
	b.ReportMetric(micros(turn-loop), "overhead-us")
	b.ReportMetric(micros(median(disk)), "fsync-us")
	b.ReportMetric(micros(median(callback)), "callback-us")
}

// callbacks has the agent ask as often as a run does, over go-plugin alone, and answers at once.
func callbacks(b *testing.B, runtime string) []time.Duration {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugins.Handshake, Plugins: plugin.PluginSet{plugins.Name: &plugins.Plugin{}}, Cmd: exec.Command(runtime),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, SkipHostEnv: true, Logger: hclog.NewNullLogger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: b.TempDir()},
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		b.Fatal(err)
	}
	service, err := protocol.Dispense(plugins.Name)
	if err != nil {
		b.Fatal(err)
	}
	stream, err := service.(pluginpb.RuntimeClient).Run(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	start := &pluginpb.Start{Run: "run", Agent: "a", Task: strconv.Itoa(turnsOfARun)}
	if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: start}}); err != nil {
		b.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			b.Fatal(err)
		}
		if result := m.GetResult(); result != nil {
			var took []time.Duration
			if err := json.Unmarshal([]byte(result.GetOutput()), &took); err != nil {
				b.Fatal(err)
			}
			return took
		}
		answer, err := plugins.AnswerTo(m.GetRequest().GetId(), spec.RequestModel, []byte(`{"text":"All is well."}`))
		if err != nil {
			b.Fatal(err)
		}
		if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: answer}}); err != nil {
			b.Fatal(err)
		}
	}
}

// plainLoop asks the model as often as a run does, and nothing else.
func plainLoop(b *testing.B, m *spec.Model) []time.Duration {
	took := make([]time.Duration, turnsOfARun)
	request := model.Request{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "200"}}}
	for i := range took {
		began := time.Now()
		if _, err := (model.Providers{}).Chat(b.Context(), m, request, nil); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	return took
}

// writes appends as much as an entry of a record has to a file, and waits each time until it is on the disk.
func writes(b *testing.B, dir string) []time.Duration {
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	took, entry := make([]time.Duration, turnsOfARun), make([]byte, 512)
	for i := range took {
		began := time.Now()
		if _, err := f.Write(entry); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	return took
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// oneAgent is a fleet of one agent.
type oneAgent struct {
	*Reconciler
	agent *spec.Agent
}

func (o oneAgent) Agent(context.Context, spec.Task) (*spec.Agent, error) { return o.agent, nil }
