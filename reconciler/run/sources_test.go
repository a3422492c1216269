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

// Who listens to a child at work has read what that has, before there is an answer, and if there never is one.
func TestWhatIsHeardOfAChildIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan struct{})
		f := newForest(t, map[spec.AgentName]agentFunc{
			"boss": func(a *talk) (string, error) {
				go a.ask(give("c1", "left")) //nolint:errcheck // Its answer is not waited for.
				<-heard
				synctest.Wait()
				return a.ask(model("the parent, which has heard it"))
			},
			"left": func(a *talk) (string, error) {
				if _, err := a.ask(tool("r", "read_wiki")); err != nil {
					return "", err
				}
				return a.ask(model("the child"))
			},
		})
		var seen []string
		f.serve = func(ctx context.Context, call Call, delta func(string)) (Reply, error) {
			reply := echo(call)
			switch {
			case call.Request.Kind == spec.RequestTool:
				reply.Answer.Sources = []string{"wiki"}
			case call.Task.Agent == "left":
				delta("do it at once")
				close(heard)
				<-ctx.Done()
				return Reply{}, ctx.Err()
			default:
				seen = call.Sources
			}
			return reply, nil
		}
		f.enqueue(testRun)
		if err := f.settle(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen, []string{"wiki"}) {
			t.Errorf("the parent had read %v when it asked", seen)
		}
		root := f.summaries()["boss"][0]
		if root.Phase != spec.PhaseSucceeded || !slices.Equal(root.Read, []string{"wiki"}) {
			t.Errorf("the parent %s, and had read %v", root.Phase, root.Read)
		}
		entries, _, err := f.log.Record(t.Context(), testRun)
		if err != nil || !slices.Equal(Summarize(entries).Read, []string{"wiki"}) {
			t.Errorf("its record says that it had read %v: %v", Summarize(entries).Read, err)
		}
	})
}
