package platformteam_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"

	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

var update = flag.Bool("update", false, "write testdata/instructions anew")

// environments are the overlays of the example, and none.
var environments = []string{"", "dev", "prod", "rehearsal"}

// load returns what the example declares in an environment, which must have no problem and no warning.
func load(t *testing.T, files fs.FS, env string) *spec.Fleet {
	t.Helper()
	fleet, problems := spec.Load(files, spec.LoadOptions{Env: env, Jsonnet: evaluate})
	if len(problems) > 0 {
		t.Fatalf("the example has problems in environment %q:\n%s", env, problems)
	}
	return fleet
}

// evaluate evaluates the example's programs in this process; they are trusted.
func evaluate(entries []string, files map[string]string) ([]spec.Evaluated, error) {
	var values []spec.Evaluated
	for _, entry := range entries {
		out := jsonnet.Evaluate(jsonnet.Input{Entry: entry, Files: files})
		if out.Fault != nil {
			return nil, out.Fault
		}
		place := out.Places[""]
		values = append(values, spec.Evaluated{JSON: out.JSON, Places: map[string]spec.Place{"": spec.Place(place)}})
	}
	return values, nil
}

func TestItHasNoProblemInAnyEnvironment(t *testing.T) {
	checked := []string{"Evaluation/triage", "Workflow/incident"}
	for _, env := range environments {
		var later []string
		for _, r := range load(t, platformteam.Files(), env).Resources {
			if r.NotYetReconciled() != "" {
				later = append(later, r.Ref.String())
			}
		}
		want := checked
		if env == "prod" {
			want = append([]string{"Fleet/tidewater"}, checked...) // Its traces.
		}
		if diff := cmp.Diff(want, later); diff != "" {
			t.Errorf("only checked in environment %q (-want +got):\n%s", env, diff)
		}
	}
}

// What is commented out in mainstay.yaml is right too: whoever takes it in gets what it says.
func TestWhatIsCommentedOutIsRight(t *testing.T) {
	files := fstest.MapFS{}
	err := fs.WalkDir(platformteam.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(platformteam.Files(), name)
		files[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root := string(files["mainstay.yaml"].Data)
	files["mainstay.yaml"].Data = []byte(regexp.MustCompile(`(?m)^  # (ledger:|signatures:|  )`).ReplaceAllString(root, "  $1"))
	fleet := load(t, files, "")
	if fleet.Ledger == nil || len(fleet.Ledger.Signers) != 1 || fleet.Signatures == nil || len(fleet.Signatures.Signers) != 2 || len(fleet.Approvers) != 2 {
		t.Errorf("ledger %+v, signatures %v, approvers %v", fleet.Ledger, fleet.Signatures, fleet.Approvers)
	}
}

// written maps each agent to the file that declares it.
func written(fleet *spec.Fleet) map[string]string {
	out := map[string]string{}
	for name, a := range fleet.Agents {
		out[string(name)] = a.Place.File
	}
	return out
}

func TestAgentsAreWrittenInAllFourForms(t *testing.T) {
	forms := map[string]int{}
	for _, file := range written(load(t, platformteam.Files(), "")) {
		forms[path.Ext(file)]++
	}
	if diff := cmp.Diff(map[string]int{".md": 5, ".yaml": 5, ".json": 2, ".jsonnet": 3}, forms); diff != "" {
		t.Error(diff)
	}
}

// The README's table lists every agent, and the file that it is in.
func TestTheReadmeListsEveryAgent(t *testing.T) {
	readme, err := fs.ReadFile(platformteam.Files(), "README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "## The agents")
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\| `(.*?)` \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range strings.Split(row[1], ", ") {
			listed[strings.Trim(name, "`")] = row[2]
		}
	}
	if diff := cmp.Diff(written(load(t, platformteam.Files(), "")), listed); diff != "" {
		t.Errorf("agents (-declared +listed):\n%s", diff)
	}
}

// The locked section is the last thing that every agent is told, in the same words in every environment.
func TestSafetyRulesCloseTheInstructionsOfEveryAgent(t *testing.T) {
	var rules string
	for _, env := range environments {
		for name, a := range load(t, platformteam.Files(), env).Agents {
			before, after, found := strings.Cut(a.Instructions, "\n# Safety rules\n")
			if !found || strings.Contains(after, "\n# ") || strings.Contains(before, "# Safety rules") {
				t.Fatalf("%s in %q has no safety rules at its end:\n%s", name, env, a.Instructions)
			}
			if rules == "" {
				rules = after
			}
			if after != rules {
				t.Errorf("%s in %q has other safety rules:\n%s", name, env, after)
			}
		}
	}
	for _, text := range []string{"This section is binding", "Only a merged proposal is an approval."} {
		if !strings.Contains(rules, text) {
			t.Errorf("the safety rules do not say %q:\n%s", text, rules)
		}
	}
}

// The instructions of one agent of each form, for a person to read.
func TestInstructions(t *testing.T) {
	for _, env := range environments[:3] {
		agents := load(t, platformteam.Files(), env).Agents
		for _, name := range []spec.AgentName{"access-reviewer", "cost-reporter", "incident-triage", "oncall-checkout", "runbook-keeper"} {
			golden := filepath.Join("testdata", "instructions", string(name)+".md")
			if env == "prod" && name == "incident-triage" { // Its overlay changes a parameter.
				golden = filepath.Join("testdata", "instructions", string(name)+".prod.md")
			}
			got := agents[name].Instructions
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s in %q; if it should be so, run go test ./examples/platform-team -run TestInstructions -update\n%s", name, env, diff)
			}
		}
	}
}

// The tools are those of the quickstart's cluster, whose test asks the server itself.
func TestTheDeclaredToolsAreTheServers(t *testing.T) {
	effects := func(f *spec.Fleet) map[string]string {
		out := map[string]string{}
		for name, tool := range f.Servers["cluster"].Spec.Tools {
			out[name] = tool.Effect
		}
		return out
	}
	if diff := cmp.Diff(effects(load(t, quickstart.Files(), "")), effects(load(t, platformteam.Files(), ""))); diff != "" {
		t.Error(diff)
	}
}

// The calendar is Lisbon's, in winter and in summer.
func TestTheCalendar(t *testing.T) {
	next := map[string]string{}
	for _, at := range []time.Time{time.Date(2026, time.January, 31, 0, 0, 0, 0, time.UTC), time.Date(2026, time.June, 30, 0, 0, 0, 0, time.UTC)} {
		for _, trigger := range load(t, platformteam.Files(), "").Triggers {
			if trigger.Cron != nil {
				next[trigger.Name] += trigger.Cron.Next(at).UTC().Format(" Mon 2006-01-02 15:04")
			}
		}
	}
	want := map[string]string{
		"capacity-planner-monthly":  " Mon 2026-02-02 10:00 Thu 2026-07-02 09:00",
		"certificate-watcher-daily": " Mon 2026-02-02 07:30 Tue 2026-06-30 06:30",
		"dependency-bumps-nightly":  " Sat 2026-01-31 03:15 Tue 2026-06-30 03:15",
		"cost-reporter-monday":      " Mon 2026-02-02 08:00 Mon 2026-07-06 07:00",
		"oncall-checkout-morning":   " Sat 2026-01-31 07:00 Tue 2026-06-30 06:00",
		"oncall-handover-monday":    " Mon 2026-02-02 09:45 Mon 2026-07-06 08:45",
		"access-reviewer-quarterly": " Wed 2026-04-01 08:00 Wed 2026-07-01 08:00",
	}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Error(diff)
	}
}

// Every file that agents read is named by one of them, and every glob of an agent matches a file.
func TestAgentsReadWhatIsThere(t *testing.T) {
	fleet, material := load(t, platformteam.Files(), ""), map[string]bool{}
	for _, folder := range []string{"changes", "docs", "manifests", "reports"} {
		err := fs.WalkDir(platformteam.Files(), folder, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				material[name] = false
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range fleet.Agents {
		for _, glob := range a.ReadPaths {
			found := false
			for name := range material {
				if doublestar.MatchUnvalidated(glob, name) {
					material[name], found = true, true
				}
			}
			if !found {
				t.Errorf("%s reads %q, which is nothing", a.Name, glob)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(material)) {
		if !material[name] {
			t.Errorf("no agent reads %s", name)
		}
	}
}
