package run

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mainstay-dev/mainstay/spec"
)

// What a run has read goes with it: to what it asks later, to those that it gives tasks to, and with their answers back.
func TestWhatWasReadGoesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := func(source string) spec.Request { return tool("read-"+source, "read_"+source) }
		agents := map[spec.AgentName]agentFunc{
			"boss": func(a *talk) (string, error) {
				for _, q := range []spec.Request{model("first"), read("wiki"), model("second"), give("c1", "left"), model("third")} {
					if _, err := a.ask(q); err != nil {
						return "", err
					}
				}
				return "done", nil
			},
			"left": func(a *talk) (string, error) {
				if _, err := a.ask(model("child, before")); err != nil {
					return "", err
				}
				if _, err := a.ask(read("handbook")); err != nil {
					return "", err
				}
				return a.ask(model("child, after"))
			},
		}
		var mu sync.Mutex
		seen := map[string][]string{}
		f := newForest(t, agents)
		f.serve = func(_ context.Context, call Call, _ func(string)) (Reply, error) {
			reply := echo(call)
			if source, ok := strings.CutPrefix(toolBody(call.Request.Body).Name, "read_"); ok {
				reply.Answer.Sources = []string{source}
			} else {
				mu.Lock()
				seen[string(call.Request.Body)] = call.Sources
				mu.Unlock()
			}
			return reply, nil
		}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string][]string{"first": nil, "second": {"wiki"}, "child, before": {"wiki"},
			"child, after": {"handbook", "wiki"}, "third": {"handbook", "wiki"}} {
			if got := seen[string(model(text).Body)]; !slices.Equal(got, want) {
				t.Errorf("%s: had read %v, want %v", text, got, want)
			}
		}
		if got := f.summaries()["boss"][0].Read; !slices.Equal(got, []string{"handbook", "wiki"}) {
			t.Errorf("the summary says %v", got)
		}
	})
}
