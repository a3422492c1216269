package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// begin starts a run of an agent over a connection in memory.
func begin(t *testing.T, agent plugins.Agent) pluginpb.Runtime_RunClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	pluginpb.RegisterRuntimeServer(server, plugins.NewServer(plugins.Info{Name: "test"}, agent))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	stream, err := pluginpb.NewRuntimeClient(conn).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Start{Start: &pluginpb.Start{Task: "task"}}}); err != nil {
		t.Fatal(err)
	}
	return stream
}

// play runs an agent. The host answers each request as answer says, in the order of the requests, and play returns the requests
// and how the run ended.
func play(t *testing.T, agent plugins.Agent, answer func(plugins.Request) any) (asked []string, end *pluginpb.AgentMessage) {
	t.Helper()
	stream := begin(t, agent)
	send := func(m *pluginpb.HostMessage) {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetRequest() == nil {
			return asked, m
		}
		r, err := plugins.RequestFrom(m.GetRequest())
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, fmt.Sprintf("%s %s %s", r.Lane, r.Kind, r.Body))
		var reply *pluginpb.Answer
		switch body := answer(r).(type) {
		case plugins.Refusal:
			reply = plugins.RefusalTo(m.GetRequest().GetId(), body)
		case string: // the host cancels
			send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Cancel{Cancel: &pluginpb.Cancel{Reason: body}}})
			continue
		default:
			canonical, err := plugins.Canonical(body)
			if err != nil {
				t.Fatal(err)
			}
			if reply, err = plugins.AnswerTo(m.GetRequest().GetId(), r.Kind, canonical); err != nil {
				t.Fatal(err)
			}
		}
		send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: reply}})
	}
}

func reply(r plugins.Request) any {
	switch r.Kind {
	case plugins.KindModel:
		return plugins.ModelAnswer{Text: "answer"}
	case plugins.KindTool:
		return plugins.ToolResult{Text: "result of " + r.Call}
	case plugins.KindTime:
		return plugins.TimeAnswer{Time: "2026-01-02T03:04:05.000000006Z"}
	}
	return plugins.RandomAnswer{Bytes: []byte{1, 2, 3}}
}

func TestAgentGetsTimeAndRandomnessFromItsHost(t *testing.T) {
	asked, end := play(t, func(ctx context.Context, run *plugins.Run) (string, error) {
		now, err := run.Now(ctx)
		if err != nil {
			return "", err
		}
		random, err := run.Random(ctx, 3)
		return fmt.Sprint(now.UnixNano(), random), err
	}, reply)
	if want := "1767323045000000006 [1 2 3]"; end.GetResult().GetOutput() != want {
		t.Errorf("ended with %v, want %s", end, want)
	}
	if want := []string{`main time {}`, `main random {"n":3}`}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestDeltasComeBeforeTheirAnswer(t *testing.T) {
	for kind, ask := range map[string]plugins.Agent{
		plugins.KindModel: func(ctx context.Context, run *plugins.Run) (text string, err error) {
			answer, err := run.Model(ctx, plugins.ModelRequest{}, func(piece string) { text += piece + "|" })
			return text + answer.Text, err
		},
		plugins.KindTool: func(ctx context.Context, run *plugins.Run) (text string, err error) {
			result, err := run.StreamTool(ctx, plugins.ToolUse{ID: "1", Name: "ask_reviewer"}, func(piece string) { text += piece + "|" })
			return text + result.Text, err
		},
	} {
		t.Run(kind, func(t *testing.T) {
			stream := begin(t, ask)
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			r, err := plugins.RequestFrom(m.GetRequest())
			if err != nil || r.Kind != kind || !r.Stream {
				t.Fatalf("asked %+v, %v, want a %s with deltas", r, err, kind)
			}
			answer, err := plugins.AnswerTo(m.GetRequest().GetId(), kind, []byte(`{"text":"all of it"}`))
			if err != nil {
				t.Fatal(err)
			}
			delta := func(text string) *pluginpb.HostMessage {
				return &pluginpb.HostMessage{Body: &pluginpb.HostMessage_Delta{Delta: &pluginpb.Delta{Id: m.GetRequest().GetId(), Text: text}}}
			}
			for _, m := range []*pluginpb.HostMessage{delta("all "), delta("of"), {Body: &pluginpb.HostMessage_Answer{Answer: answer}}} {
				if err := stream.Send(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.Send(delta("late")); err != nil && !errors.Is(err, io.EOF) { // the run may have ended at the answer
				t.Fatal(err)
			}
			if end, err := stream.Recv(); err != nil || end.GetResult().GetOutput() != "all |of|all of it" {
				t.Errorf("ended with %v, %v", end, err)
			}
		})
	}
}

func TestLanesAreConcurrentAndEachInOrder(t *testing.T) {
	asked, end := play(t, func(ctx context.Context, run *plugins.Run) (string, error) {
		var lanes sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			lanes.Go(func() {
				for n := range 10 {
					_, _ = run.Lane(name).CallTool(ctx, plugins.ToolUse{ID: fmt.Sprint(name, n), Name: "t"})
				}
			})
		}
		lanes.Wait()
		return "done", nil
	}, reply)
	if end.GetResult() == nil || len(asked) != 20 {
		t.Fatalf("asked %q, ended with %v", asked, end)
	}
	for _, name := range []string{"a", "b"} {
		n := 0
		for _, request := range asked {
			if strings.HasPrefix(request, name+" ") {
				if !strings.Contains(request, fmt.Sprintf(`"id":"%s%d"`, name, n)) {
					t.Errorf("request %d of the lane %s is %s", n, name, request)
				}
				n++
			}
		}
	}
}

func TestMoreCallsThanMayWaitAreHeldBack(t *testing.T) {
	asked, end := play(t, func(ctx context.Context, run *plugins.Run) (string, error) {
		var uses []plugins.ToolUse
		for n := range 3 * plugins.MaxOutstanding {
			uses = append(uses, plugins.ToolUse{ID: fmt.Sprint("c", n), Name: "t"})
		}
		results, err := run.CallTools(ctx, uses)
		if err != nil {
			return "", err
		}
		return results[len(results)-1].Text, nil
	}, reply)
	if want := fmt.Sprint("result of c", 3*plugins.MaxOutstanding-1); end.GetResult().GetOutput() != want || len(asked) != 3*plugins.MaxOutstanding {
		t.Errorf("asked %d times, ended with %v, want %s", len(asked), end, want)
	}
}

func TestWhatGoesWrongInARunFailsIt(t *testing.T) {
	ask := func(ctx context.Context, run *plugins.Run) (string, error) {
		answer, err := run.Model(ctx, plugins.ModelRequest{}, nil)
		return answer.Text, err
	}
	for name, test := range map[string]struct {
		agent  plugins.Agent
		answer any
		want   string
	}{
		"an error":   {func(context.Context, *plugins.Run) (string, error) { return "", errors.New("no idea") }, nil, "no idea"},
		"a panic":    {func(context.Context, *plugins.Run) (string, error) { panic("oops") }, nil, "panic: oops"},
		"a refusal":  {ask, plugins.Refusal{Code: "refused", Message: "too dear"}, "refused: too dear"},
		"a cancel":   {ask, "replaced", "cancelled by the host: replaced"},
		"deaf agent": {func(ctx context.Context, run *plugins.Run) (string, error) { ask(ctx, run); select {} }, "replaced", "cancelled by the host: replaced"},
		"too much output": {
			func(context.Context, *plugins.Run) (string, error) { return strings.Repeat("x", 5<<20), nil }, nil, "more than fit",
		},
		"a request too large": {func(ctx context.Context, run *plugins.Run) (string, error) {
			_, err := run.CallTool(ctx, plugins.ToolUse{ID: "1", Name: strings.Repeat("x", 5<<20)})
			return "", errors.New(err.Error()[len(err.Error())-60:])
		}, nil, "that fit a message"},
	} {
		t.Run(name, func(t *testing.T) {
			_, end := play(t, test.agent, func(plugins.Request) any { return test.answer })
			if !strings.Contains(end.GetFailure().GetMessage(), test.want) {
				t.Errorf("ended with %v, want a failure with %q", end, test.want)
			}
		})
	}
}

func TestTextThatIsNotUTF8IsMadeSo(t *testing.T) {
	asked, end := play(t, func(ctx context.Context, run *plugins.Run) (string, error) {
		_, err := run.Model(ctx, plugins.ModelRequest{Messages: []plugins.Message{{Role: plugins.RoleUser, Text: "a\xffb"}}}, nil)
		return "c\xff", err
	}, reply)
	if end.GetResult().GetOutput() != "c\uFFFD" || !strings.Contains(asked[0], "a\uFFFDb") {
		t.Errorf("asked %q, ended with %v", asked, end)
	}
}
