package plugins_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
	"github.com/mainstay-dev/mainstay/plugins/plugintest"
)

// goBlocks returns the README's programs: the first is a runtime, the others are functions of example_test.go.
func goBlocks(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		list = append(list, m[1])
	}
	if len(list) != 3 {
		t.Fatalf("the README has %d programs, want 3", len(list))
	}
	return list
}

func TestRuntimeInTheREADMEPassesTheSuite(t *testing.T) {
	dir := t.TempDir()
	source, path := filepath.Join(dir, "main.go"), filepath.Join(dir, "my-runtime")
	if err := os.WriteFile(source, []byte(goBlocks(t)[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	plugintest.Run(t, path)
}

func TestFunctionsInTheREADMEAreTheExamples(t *testing.T) {
	examples, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range goBlocks(t)[1:] {
		if !strings.Contains(string(examples), block) {
			t.Errorf("example_test.go does not hold what the README shows:\n%s", block)
		}
	}
}

// What the README says of them: without lanes the order of answers changes what is asked, and with lanes it does not.
func TestLanesKeepAnAgentFromDiverging(t *testing.T) {
	for name, test := range map[string]struct {
		review   func(context.Context, *plugins.Run, []string) ([]string, error)
		diverges bool
	}{
		"one lane": {reviewInOneLane, true},
		"lanes":    {reviewInLanes, false},
	} {
		t.Run(name, func(t *testing.T) {
			agent := func(ctx context.Context, run *plugins.Run) (string, error) {
				reviews, err := test.review(ctx, run, []string{"a.go", "b.go"})
				return strings.Join(reviews, ", "), err
			}
			first, second := asked(t, agent, "a.go"), asked(t, agent, "b.go")
			if same := maps.EqualFunc(first, second, slices.Equal); same == test.diverges {
				t.Errorf("it asked %q, and then %q", first, second)
			}
		})
	}
}

// asked runs an agent of two reviews, lets one of them go on first, and returns what was asked after the first request of each,
// by lanes.
func asked(t *testing.T, agent plugins.Agent, first string) map[string][]string {
	t.Helper()
	stream := begin(t, agent)
	receive := func() (id uint64, r plugins.Request) {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r, err = plugins.RequestFrom(m.GetRequest()); err != nil {
			t.Fatal(err)
		}
		return m.GetRequest().GetId(), r
	}
	answer := func(id uint64, r plugins.Request) {
		body, err := plugins.Canonical(reply(r))
		if err != nil {
			t.Fatal(err)
		}
		m, err := plugins.AnswerTo(id, r.Kind, body)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&pluginpb.HostMessage{Body: &pluginpb.HostMessage_Answer{Answer: m}}); err != nil {
			t.Fatal(err)
		}
	}
	ids, requests := make([]uint64, 2), make([]plugins.Request, 2)
	for i := range 2 {
		ids[i], requests[i] = receive()
	}
	if !strings.Contains(requests[0].Call, first) {
		slices.Reverse(ids)
		slices.Reverse(requests)
	}
	lanes := map[string][]string{}
	for i := range 2 {
		answer(ids[i], requests[i])
		ids[i], requests[i] = receive()
		lanes[requests[i].Lane] = append(lanes[requests[i].Lane], string(requests[i].Body))
	}
	for i := range 2 {
		answer(ids[i], requests[i])
	}
	m, err := stream.Recv()
	if err != nil || m.GetResult().GetOutput() != "answer, answer" {
		t.Fatalf("the run ended with %v, %v", m, err)
	}
	return lanes
}
