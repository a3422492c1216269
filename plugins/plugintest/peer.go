package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// patience bounds each wait for a runtime that is slow, or broken.
const patience = 20 * time.Second

// start starts the runtime's executable and ends it with the test.
func start(t *testing.T, command []string) pluginpb.RuntimeClient {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugins.Handshake,
		Plugins:          plugin.PluginSet{plugins.Name: &plugins.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     patience,
		Cmd:              exec.Command(command[0], command[1:]...),
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(plugins.MaxMessage), grpc.MaxCallSendMsgSize(plugins.MaxMessage)),
		},
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if err := protocol.Ping(); err != nil {
		t.Fatalf("health service: %v", err)
	}
	service, err := protocol.Dispense(plugins.Name)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return service.(pluginpb.RuntimeClient)
}

// peer is the host's side of one run.
type peer struct {
	stream grpc.BidiStreamingClient[pluginpb.HostMessage, pluginpb.AgentMessage]
	// asked are the requests so far, in the form of a record.
	asked []string
}

// request is a request that waits for its answer.
type request struct {
	plugins.Request
	id uint64
}

func begin(t *testing.T, runtime pluginpb.RuntimeClient, run, task string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	stream, err := runtime.Run(ctx)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	p := &peer{stream: stream}
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: &pluginpb.Start{
		Run: run, Agent: "tester", Task: task,
		Tools: []*pluginpb.ToolInfo{
			{Name: "probe__look", Description: "Looks.", InputSchemaJson: `{"type":"object","properties":{"at":{"type":"string"}}}`},
			{Name: "probe__fetch", Description: "Fetches.", InputSchemaJson: `{"type":"object"}`},
		},
		Skills: []*pluginpb.SkillInfo{{Name: "tidy", Description: "Tidies up."}},
		Limits: &pluginpb.Limits{Turns: 10, ToolCalls: 100, WallTimeMs: 60000, OutputBytes: 4 << 20},
	}}})
	return p
}

func (p *peer) send(t *testing.T, m *pluginpb.HostMessage) {
	t.Helper()
	if err := p.stream.Send(m); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// next returns the next message that is no log: a request, or the end of the run as a result or failure.
func (p *peer) next(t *testing.T) (request, *pluginpb.AgentMessage) {
	t.Helper()
	for {
		m, err := p.stream.Recv()
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if m.GetLog() != nil {
			continue
		}
		if m.GetRequest() == nil {
			return request{}, m
		}
		r, err := plugins.RequestFrom(m.GetRequest())
		if err != nil {
			t.Fatalf("request: %v", err)
		}
		p.asked = append(p.asked, fmt.Sprintf("%s %s %s %s", r.Lane, r.Kind, r.Call, r.Body))
		return request{Request: r, id: m.GetRequest().GetId()}, nil
	}
}

// asks returns the next message, which must be a request of this kind, and reads its body into body.
func (p *peer) asks(t *testing.T, kind string, body any) request {
	t.Helper()
	r, end := p.next(t)
	if end != nil {
		t.Fatalf("the run ended with %v where a request of kind %s belongs", end, kind)
	}
	if r.Kind != kind {
		t.Fatalf("a request of kind %s came where one of kind %s belongs: %s", r.Kind, kind, r.Body)
	}
	if err := json.Unmarshal(r.Body, body); err != nil {
		t.Fatalf("body %s: %v", r.Body, err)
	}
	return r
}

func (p *peer) answer(t *testing.T, r request, body any) {
	t.Helper()
	canonical, err := plugins.Canonical(body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := plugins.AnswerTo(r.id, r.Kind, canonical)
	if err != nil {
		t.Fatal(err)
	}
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: answer}})
}

func (p *peer) refuse(t *testing.T, r request, message string) {
	t.Helper()
	refusal := plugins.RefusalTo(r.id, plugins.Refusal{Code: plugins.RefusedByHost, Message: message})
	p.send(t, &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: refusal}})
}

// returns checks that the run ends with a result, and that nothing comes after it.
func (p *peer) returns(t *testing.T) string {
	t.Helper()
	r, end := p.next(t)
	switch {
	case end == nil:
		t.Fatalf("a request of kind %s came where the result belongs: %s", r.Kind, r.Body)
	case end.GetFailure() != nil:
		t.Fatalf("the run failed: %s", end.GetFailure().GetMessage())
	case end.GetResult() == nil:
		t.Fatalf("an unknown message came where the result belongs: %v", end)
	}
	if m, err := p.stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the result came %v, %v, want the end of the stream", m, err)
	}
	return end.GetResult().GetOutput()
}
