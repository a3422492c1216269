package plugintest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

const replayHint = "See \"Replay\" in plugins/README.md: take ids, time and randomness from the host, and let no map's or set's order and no race decide what is asked."

// replayChecks hold a runtime to what lets a run survive its process: equal answers lead to equal requests.
var replayChecks = []check{
	{"run-id", "lets nothing of a run's id, its process or its time reach a request", replayHint, runID},
	{"replay", "asks the same again when it is answered the same", replayHint, replayed},
	{"lanes", "asks the same in each lane when parallel calls are answered in another order", replayHint, reordered},
	{"replay-process", "asks the same again in another process", replayHint, inAnotherProcess},
	{"replay-middle", "asks the same again after a run that was cut off at any point", replayHint, fromTheMiddle},
}

// The scripted run: three calls at once, then one, then the output.
var (
	scriptedFirst = []plugins.ToolUse{
		use("c1", "probe__look", `{"z":1,"at":"a","m":{"y":2,"x":[3,{"q":4,"p":5}]}}`), use("c2", "probe__fetch", `{ "z": 1, "a": 2 }`),
		use("c3", "probe__look", `{"at":"c"}`),
	}
	scriptedSecond = []plugins.ToolUse{use("c4", "probe__fetch", `{"k9":1,"k8":2,"k7":3,"k6":4,"k5":5,"k4":6,"k3":7,"k2":8,"k1":9}`)}
)

// scriptedAnswers is how many answers the scripted run takes.
const scriptedAnswers = 7

// script plays the scripted run and answers at most that many requests; what comes in parallel is answered in the order of
// the indices in order. It returns what was asked, by lanes.
func (t *trial) script(run string, order []int, answers int) map[string][]string {
	p := t.beginWith(&pluginpb.Start{
		Run: run, Task: "Look twice.", History: []*pluginpb.Message{{Role: plugins.RoleUser, Text: "Hi."}, {Role: plugins.RoleAssistant, Text: "Hello."}},
	})
	defer p.cut()
	given := 0
	give := func(r request, body any) bool {
		if given == answers {
			return false
		}
		given++
		p.answer(r, body)
		return true
	}
	for _, uses := range [][]plugins.ToolUse{scriptedFirst, scriptedSecond} {
		var asked plugins.ModelRequest
		if !give(p.asks(plugins.KindModel, &asked), plugins.ModelAnswer{Text: "One moment.", Calls: uses, Finish: plugins.FinishCalls, Usage: plugins.Usage{Input: 10, Output: 5}}) {
			return p.lanes
		}
		requests := p.called(uses...)
		for _, i := range order[:len(order)*len(uses)/len(scriptedFirst)] {
			if i %= len(uses); !give(requests[i], plugins.ToolResult{Text: "result of " + uses[i].ID, Structured: []byte(`{"b":1,"a":2}`)}) {
				return p.lanes
			}
		}
	}
	var asked plugins.ModelRequest
	if give(p.asks(plugins.KindModel, &asked), plugins.ModelAnswer{Text: "done", Finish: plugins.FinishStop}) {
		p.returns("done")
	}
	return p.lanes
}

var inOrder = []int{0, 1, 2}

// compare checks that lanes hold the same requests. Where again was cut off, it may hold less.
func (t *trial) compare(what string, first, again map[string][]string, cut bool) {
	for _, lane := range slices.Sorted(maps.Keys(again)) {
		if _, ok := first[lane]; !ok {
			t.fail(fmt.Sprintf("the lanes %v, as before", slices.Sorted(maps.Keys(first))), "%s, a lane %s", what, lane)
		}
	}
	for _, lane := range slices.Sorted(maps.Keys(first)) {
		was, is := first[lane], again[lane]
		if cut {
			was = was[:min(len(was), len(is))]
		}
		for i := range max(len(was), len(is)) {
			var before, after string
			if i < len(was) {
				before = was[i]
			}
			if i < len(is) {
				after = is[i]
			}
			if before != after {
				a, b := around(before, after)
				t.fail(fmt.Sprintf("request %d of the lane %s as before: %s", i+1, lane, a), "%s: %s", what, b)
				return
			}
		}
	}
}

// around returns two texts from shortly before where they differ.
func around(a, b string) (string, string) {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	from := max(0, at-60)
	show := func(text string) string {
		switch {
		case text == "":
			return "no request"
		case from > 0:
			return "…" + shorten(text[from:], maxText)
		}
		return shorten(text, maxText)
	}
	return show(a), show(b)
}

func runID(t *trial) {
	const run = "01jzrunidofthisrun000000000"
	for lane, asked := range t.script(run, inOrder, scriptedAnswers) {
		for _, r := range asked {
			for name, secret := range map[string]string{"the run's id": run, "the process's folder": t.process().dir} {
				if at := strings.Index(r, secret); at >= 0 {
					t.fail("requests without "+name, "in the lane %s: …%s", lane, shorten(r[max(0, at-60):], maxText))
				}
			}
		}
	}
}

func replayed(t *trial) {
	first := t.script("run-a", inOrder, scriptedAnswers)
	for _, run := range []string{"run-b", "run-c", "run-d"} {
		t.compare("the next time", first, t.script(run, inOrder, scriptedAnswers), false)
	}
}

func reordered(t *trial) {
	first := t.script("run-a", inOrder, scriptedAnswers)
	for _, order := range [][]int{{2, 1, 0}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}} {
		t.compare(fmt.Sprintf("answered in the order %v", order), first, t.script("run-a", order, scriptedAnswers), false)
	}
}

func inAnotherProcess(t *trial) {
	first := t.script("run-a", inOrder, scriptedAnswers)
	for range 2 {
		t.restart()
		t.compare("in another process", first, t.script("run-a", inOrder, scriptedAnswers), false)
	}
}

func fromTheMiddle(t *trial) {
	first := t.script("run-a", inOrder, scriptedAnswers)
	for n := range scriptedAnswers {
		t.compare(fmt.Sprintf("cut off after %d answers", n), first, t.script("run-a", inOrder, n), true)
	}
	t.restart()
	t.compare("from the beginning again, in another process", first, t.script("run-a", inOrder, scriptedAnswers), false)
}
