package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model/ollamatest"
	"github.com/mainstay-dev/mainstay/spec"
)

// firstQuestions are what every agent of examples/platform-team is asked, and a part of what it answers or proposes.
var firstQuestions = map[spec.AgentName][2]string{
	"access-reviewer":     {"Who may do what?", "migration-edit binds one person, jonas@tidewater.example, and was to be reviewed by 2026-06-30"},
	"capacity-planner":    {"Which service runs out of room?", "catalog: 84 MiB"},
	"certificate-watcher": {"Which certificates need a person?", "payment-client ends on 2026-12-14; ask payments@tidewater.example"},
	"cost-reporter":       {"What did it cost?", "- catalog storage 171.30 euros\n- frontend compute 754.70 euros"},
	"dependency-bumps":    {"Are there advisories?", "Use registry.example.com/shop/checkout:1.4.3 to fix ADV-2026-0142"},
	"drift-detector":      {"Is what runs what the manifests say?", "frontend: replicas is 4 in the manifest and 3 in the cluster"},
	"incident-triage":     {"Customers cannot pay. Look at checkout.", "Restart deployment shop/frontend"},
	"oncall-catalog":      {"How is catalog?", "catalog runs registry.example.com/shop/catalog:2.3.0; 2 of 2 replicas are ready."},
	"oncall-checkout":     {"How is checkout?", "checkout runs registry.example.com/shop/checkout:1.4.2; 2 of 2 replicas are ready."},
	"oncall-frontend":     {"How is frontend?", "frontend runs registry.example.com/shop/frontend:3.1.5; 3 of 3 replicas are ready."},
	"oncall-handover":     {"Write the handover.", "Hand over the week of 23 November"},
	"postmortem-writer":   {"Draft the postmortem of 25 November.", "Draft the postmortem of 25 November"},
	"release-notes":       {"Bring the release notes up to date.", "Bring the release notes of November up to date"},
	"rollout-watcher":     {"Has the rollout come through?", "frontend: replicas is 4 in the manifest and 3 in the cluster"},
	"runbook-keeper":      {"Are the runbooks true?", "Say in the runbook of frontend that it has 4 replicas"},
}

// One reconciler runs the whole example. Each agent does its work, and calls no tool that its spec does not give it. Then a real
// Ollama server, with a model that says what the rules of the rehearsal have said, does the same work.
func TestEveryAgentOfThePlatformTeamAnswers(t *testing.T) {
	exchanges := askThePlatformTeam(t, func(string) {})
	t.Run("over a real Ollama", func(t *testing.T) {
		server := ollamatest.Start(t)
		script := ollamatest.Script{Tools: true, Of: map[string][][]string{}}
		for _, e := range exchanges {
			remember(t, script.Of, e)
		}
		server.Create("team", script)
		askThePlatformTeam(t, func(repo string) {
			for _, name := range []string{"fast", "default", "deep"} {
				model := fmt.Sprintf("{apiVersion: %s, kind: Model, metadata: {name: %s}, spec: {provider: ollama, name: team, endpoint: %q, parameters: null}}\n", spec.APIVersion, name, server.URL)
				if err := os.WriteFile(filepath.Join(repo, "overlays", "rehearsal", name+".yaml"), []byte(model), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// commitID is an id in a task, which differs where the files do.
var commitID = regexp.MustCompile(`\b[0-9a-f]{7,40}\b`)

// remember writes the answer of a model into the dialogue that it is of.
func remember(t *testing.T, dialogues map[string][][]string, e spec.Entry) {
	t.Helper()
	if e.Request == nil || e.Request.Kind != spec.RequestModel || e.Answer == nil {
		return
	}
	var request plugins.ModelRequest
	var answer plugins.ModelAnswer
	if err := errors.Join(json.Unmarshal(e.Request.Body, &request), json.Unmarshal(e.Answer.Body, &answer)); err != nil {
		t.Fatal(err)
	}
	begin, n := "", 0
	for _, m := range request.Messages {
		if m.Role == plugins.RoleUser && begin == "" {
			begin = m.Text
		}
		if m.Role == plugins.RoleAssistant {
			n++
		}
	}
	begin = commitID.ReplaceAllStringFunc(begin, func(id string) string { return strings.Repeat(ollamatest.Any, len(id)) })
	var turn []string
	if answer.Text != "" {
		turn = append(turn, answer.Text)
	}
	for _, call := range answer.Calls {
		turn = append(turn, ollamatest.Call(call.Name, call.Arguments))
	}
	switch known := dialogues[begin]; {
	case n == len(known):
		dialogues[begin] = append(known, turn)
	case n > len(known) || !slices.Equal(known[n], turn):
		t.Fatalf("answer %d to %q is %q, after %q", n, begin, turn, known)
	}
}

// askThePlatformTeam runs the example once, with its files as change leaves them, checks what every agent does, and returns the
// exchanges of all runs: each request with its answer, in their order.
func askThePlatformTeam(t *testing.T, change func(repo string)) []spec.Entry {
	t.Helper()
	w := world{t, t.TempDir()}
	w.git(".", "init", "-q", "--bare", "-b", "main", w.path("remote.git"))
	if err := os.CopyFS(w.path("repo"), platformteam.Files()); err != nil {
		t.Fatal(err)
	}
	var questions strings.Builder
	for name, question := range firstQuestions {
		fmt.Fprintf(&questions, "---\n{apiVersion: %s, kind: Trigger, metadata: {name: ask-%s}, spec: {agent: %s, onRevision: {paths: [mainstay.yaml]}, task: %q}}\n",
			spec.APIVersion, name, name, question[0])
	}
	if err := os.WriteFile(w.path("repo/triggers/questions.yaml"), []byte(questions.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	change(w.path("repo"))
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", ".")
	w.git("repo", "commit", "-q", "-m", "seed")
	w.git("repo", "push", "-q", w.path("remote.git"), "main")

	mainstay := func(into any, args ...string) {
		cmd := exec.Command(filepath.Join(executables(t), "mainstay"), args...)
		cmd.Env = append(os.Environ(), "HOME="+w.dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err == nil && into != nil {
			err = json.Unmarshal(out, into)
		}
		if err != nil {
			t.Fatalf("mainstay %v: %v\n%s", args, err, stderr.String())
		}
	}
	mainstay(nil, "run", "--once", "--repo", w.path("remote.git"), "--state", w.path("state"), "--env", "rehearsal")
	var runs []spec.RunSummary
	mainstay(&runs, "get", "runs", "-o", "json", "--state", w.path("state"))
	asked := map[spec.AgentName]bool{}
	var exchanges []spec.Entry
	for name, agent := range loaded(t, w.path("repo"), "rehearsal").Agents {
		for _, run := range runs {
			if run.Agent != name {
				continue
			}
			var entries []spec.Entry
			mainstay(&entries, "logs", string(run.Run), "-o", "json", "--state", w.path("state"))
			said := checkTools(t, agent, entries)
			requests := map[int]*spec.Request{}
			for _, e := range entries {
				if e.Request != nil {
					requests[e.N] = e.Request
				}
				if e.Answer != nil {
					exchanges = append(exchanges, spec.Entry{N: e.N, Request: requests[e.N], Answer: e.Answer})
				}
			}
			if run.Trigger == "ask-"+string(name) {
				asked[name] = true
				if want := firstQuestions[name][1]; !strings.Contains(said, want) {
					t.Errorf("%s says %q, which does not hold %q", name, said, want)
				}
			}
		}
		if !asked[name] {
			t.Errorf("%s was not asked", name)
		}
	}
	return exchanges
}

// checkTools checks that a run called only tools that its agent has, without one refusal, and returns what the run has
// answered and proposed.
func checkTools(t *testing.T, agent *spec.Agent, entries []spec.Entry) string {
	t.Helper()
	has := map[string]bool{
		"repo__list": len(agent.ReadPaths) > 0, "repo__read": len(agent.ReadPaths) > 0,
		"repo__propose_change": len(agent.ProposePaths) > 0, "skills__read": len(agent.Skills) > 0,
	}
	for _, tool := range agent.Tools {
		has[tool.FullName()] = true
	}
	var said strings.Builder
	calls := 0
	for _, e := range entries {
		switch {
		case e.Request != nil && e.Request.Kind == spec.RequestTool:
			var call struct{ Name string }
			if err := json.Unmarshal(e.Request.Body, &call); err != nil {
				t.Fatal(err)
			}
			calls++
			if !has[call.Name] {
				t.Errorf("%s called %s, which it does not have", agent.Name, call.Name)
			}
		case e.Answer != nil && e.Answer.Error != "":
			t.Errorf("%s was refused: %s", agent.Name, e.Answer.Error)
		case e.Proposal != nil:
			said.WriteString(e.Proposal.Title + "\n")
		case e.Outcome != nil:
			said.WriteString(e.Outcome.Output + "\n")
		}
	}
	if calls == 0 {
		t.Errorf("%s looked at nothing", agent.Name)
	}
	return said.String()
}

// Every command of the example's README is run as it stands there, and says what is shown.
func TestPlatformTeamReadmeCommandsRun(t *testing.T) {
	readme, w := "../../examples/platform-team/README.md", world{t, t.TempDir()}
	config := "[user]\n\tname = Ada\n\temail = ada@example.com\n"
	if err := os.WriteFile(w.path(".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for line := range strings.SplitSeq(strings.Join(blocksOf(t, readme, "sh"), ""), "\n") {
		line, _, _ = strings.Cut(line, "  #")
		if line == "" || strings.HasPrefix(line, "go build -o bin/ ") {
			continue // executables has done the same.
		}
		line = strings.ReplaceAll(line, "bin/mainstay", filepath.Join(executables(t), "mainstay"))
		line = strings.ReplaceAll(line, "/tmp/tidewater", w.path("tidewater"))
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "HOME="+w.dir, "XDG_STATE_HOME="+w.path("xdg"), "XDG_CACHE_HOME="+w.path("cache"), "GIT_CONFIG_NOSYSTEM=1", "MAINSTAY_SIGNING_KEY=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		if strings.Contains(line, " ask incident-triage ") {
			shown = append(shown, normalise(strings.ReplaceAll(string(out), w.path("tidewater"), "/tmp/tidewater")))
		}
	}
	text := blocksOf(t, readme, "text")
	for i := range text {
		text[i] = normalise(text[i])
	}
	if diff := cmp.Diff(text, shown); diff != "" {
		t.Errorf("what the README shows and what is said (-README +said):\n%s", diff)
	}
}
