package langgraph_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins/langgraph/langgraphtest"
	"github.com/mainstay-dev/mainstay/plugins/plugintest"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/spec"
)

func langgraph(t testing.TB) string {
	t.Helper()
	return langgraphtest.Executable(t, langgraphtest.Package, "src/main.ts", "mainstay-langgraph")
}

func TestLangGraphIsARuntime(t *testing.T) {
	plugintest.Run(t, langgraph(t))
}

// started starts a runtime behind all walls that can be had here.
func started(t testing.TB, path string) *host.Host {
	t.Helper()
	h := host.New(host.Options{Dir: t.TempDir(), Runtimes: func(string) (host.Runtime, error) { return host.Runtime{Path: path}, nil }})
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := h.Start(host.Agent{Name: "a", Digest: "sha256:1", Runtime: "langgraph"}); err != nil {
		t.Fatal(err)
	}
	return h
}

// answerTo is the answer to a request, which depends on the request alone.
func answerTo(t testing.TB, r *spec.Request) spec.Answer {
	t.Helper()
	sum := sha256.Sum256(r.Body)
	text := fmt.Sprintf("%s %x", r.Kind, sum[:4])
	var body any
	switch r.Kind {
	case spec.RequestModel:
		body = map[string]any{"text": text, "finish": "stop"}
	case spec.RequestTool:
		body = map[string]any{"text": text}
	case spec.RequestTime:
		body = map[string]any{"time": "2026-01-02T03:04:05Z"}
	default:
		t.Fatalf("a request of kind %s", r.Kind)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return spec.Answer{Body: raw}
}

// record plays a run to its end and returns what was asked in each lane, and the output. The requests are answered in an order
// that chance decides, some of them only when nothing else is asked any more.
func record(t testing.TB, h *host.Host, chance *rand.Rand) (lanes map[spec.Lane][]string, output string) {
	t.Helper()
	s, err := h.Open(t.Context(), "a", host.Start{Run: spec.RunID(fmt.Sprint("run-", chance.Int())), Task: "Look around.",
		Tools: []host.Tool{{Name: "probe__look", Description: "Looks.", InputSchema: json.RawMessage(`{"type":"object","properties":{"at":{"type":"string"}}}`)}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	messages, ended := make(chan host.Message), make(chan error, 1)
	go func() {
		for {
			m, err := s.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case messages <- m:
			case <-t.Context().Done():
				return
			}
		}
	}()
	lanes = map[spec.Lane][]string{}
	var waiting []host.Message
	for {
		var next host.Message
		ready := make(chan struct{})
		if len(waiting) > 0 {
			close(ready)
		}
		select {
		case next = <-messages:
		case err := <-ended:
			if !errors.Is(err, io.EOF) || output == "" {
				t.Fatal(err, output)
			}
			return lanes, output
		case <-ready:
			i := chance.IntN(len(waiting))
			m := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			if err := s.Answer(m.ID, m.Request.Kind, answerTo(t, m.Request)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		switch {
		case next.Request != nil:
			r := next.Request
			lanes[r.Lane] = append(lanes[r.Lane], fmt.Sprintf("%s %s %s", r.Kind, r.Call, r.Body))
			waiting = append(waiting, next)
		case next.Failure != nil:
			t.Fatal(next.Failure.Message)
		case next.Result != nil:
			output = next.Result.Output
		}
	}
}

// A graph that does many things at once asks for the same in each lane, whatever order the answers come in: so a run can be
// replayed. Each node has its lane, and so has each task of a node.
func TestNodesThatRunAtOnceHaveLanesOfTheirOwn(t *testing.T) {
	h := started(t, langgraphtest.Executable(t, langgraphtest.Package, "testdata/lanes.ts", "mainstay-lanes"))
	first, output := record(t, h, rand.New(rand.NewPCG(0, 0)))
	var want []string
	for i := range 4 {
		want = append(want, fmt.Sprintf("visit/%d", 2*i), fmt.Sprintf("inner/%d:near", 2*i+1), fmt.Sprintf("inner/%d:far", 2*i+1))
	}
	want = append(want, "left", "right", "sub:near", "sub:far", "join")
	slices.Sort(want)
	var got []string
	for _, lane := range slices.Sorted(maps.Keys(first)) {
		got = append(got, string(lane))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lanes (-want +got):\n%s", diff)
	}
	for _, lane := range []spec.Lane{"left", "inner/3:far"} {
		if asked := strings.Join(first[lane], "\n"); len(first[lane]) != 4 || !strings.Contains(asked, string(lane)+"#1") || !strings.Contains(asked, string(lane)+"#2") {
			t.Errorf("in lane %s it asked\n%s", lane, asked)
		}
	}
	const repetitions = 50
	for n := range uint64(repetitions) {
		again, same := record(t, h, rand.New(rand.NewPCG(1, n)))
		if diff := cmp.Diff(first, again); diff != "" || same != output {
			t.Fatalf("repetition %d (-first +again):\n%s\n%s\n%s", n, diff, output, same)
		}
	}
}

// BenchmarkColdStart is the time from nothing to the end of a first run, behind all walls.
func BenchmarkColdStart(b *testing.B) {
	path := langgraph(b)
	for b.Loop() {
		h := started(b, path)
		s, err := h.Open(b.Context(), "a", host.Start{Run: "run", Task: "Say hello."})
		if err != nil {
			b.Fatal(err)
		}
		m, err := s.Recv()
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Answer(m.ID, m.Request.Kind, answerTo(b, m.Request)); err != nil {
			b.Fatal(err)
		}
		if m, err = s.Recv(); err != nil || m.Result == nil {
			b.Fatal(m, err)
		}
		s.Close()
		b.StopTimer()
		if err := h.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
