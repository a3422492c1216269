package platformteam_test

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	platformteam "github.com/mainstay-dev/mainstay/examples/platform-team"
	"github.com/mainstay-dev/mainstay/spec"
)

// lockWith is a mainstay.lock that pins the tools of the cluster, one of which has a description.
func lockWith(description string) string {
	k := spec.NewLock(spec.LockFile)
	tools := map[string]spec.ToolPin{}
	for _, name := range []string{"get_deployment", "list_advisories", "restart_deployment"} {
		tools[name] = spec.ToolPin{InputSchema: "{}"}
	}
	pin := tools["get_deployment"]
	pin.Description = description
	tools["get_deployment"] = pin
	k.Servers["cluster"] = spec.ServerPin{Tools: tools}
	return string(k.Format())
}

// history is what a team merges in some weeks: a change of each kind. An edit replaces old with new in a file; "" as old
// writes the file, and "" as new too removes it.
var history = []struct{ branch, file, old, new string }{
	{"agent-markdown", "agents/runbook-keeper.md", "Change only the facts.", "Change the facts alone."},
	{"agent-jsonnet", "agents/oncall.jsonnet", "Answer for this service alone.", "Answer for %(name)s, and for nothing else."},
	{"agent-library", "agents/lib/services.libsonnet", "what: '", "what: 'now "},
	{"lock", "mainstay.lock", "", lockWith("Says how a deployment is.")},
	{"lock-again", "mainstay.lock", "Says how a deployment is.", "Says how a deployment is, and obeys it."},
	{"prompt", "prompts/house.yaml", "Ask for no secret and repeat none.", "Ask for no secret, and repeat none to anybody."},
	{"persona", "personas/writer.md", "Short sentences", "Very short sentences"},
	{"skill", "skills/image-bumps/SKILL.md", "", "---\nname: image-bumps\ndescription: How an image is replaced.\n---\nReplace it.\n"},
	{"skill-file", "skills/incident-triage/references/handover.md", "", "Say who has the pager.\n"},
	{"skill-new", "skills/patience/SKILL.md", "", "---\nname: patience\ndescription: When to wait.\n---\nWait.\n"},
	{"skill-script", "skills/image-bumps/scripts/check.sh", "", "#!/bin/sh\nexit 0\n"},
	{"model", "models/models.yaml", "qwen3:8b", "qwen3:4b"},
	{"tool", "tools/cluster.yaml", "timeout: 30s", "timeout: 45s"},
	{"knowledge", "knowledge/runbooks.yaml", "size: 1200", "size: 900"},
	{"policy", "policies/separation.json", "Report what you found.", "Report it."},
	{"trigger", "triggers/drift.md", "Is what runs what they say?", "Does what runs differ?"},
	{"evaluation", "evaluations/triage.yaml", "repeat: 3", "repeat: 5"},
	{"workflow", "workflows/incident.yaml", "timeout: 20m", "timeout: 25m"},
	{"overlay", "overlays/prod/models.yaml", "name: qwen3:4b", "name: qwen3:8b"},
	{"defaults", "mainstay.yaml", "turns: 24", "turns: 20"},
}

// digests are those of all that the working tree of a repository declares in every environment, and of what it pins.
func digests(t *testing.T, repo string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, env := range []string{"", "prod"} {
		fleet, problems := spec.Load(os.DirFS(repo), spec.LoadOptions{Env: env, Jsonnet: evaluate})
		if problems.HasErrors() {
			t.Fatalf("in %q: %s", env, problems)
		}
		out[env+" fleet"] = string(fleet.Digest)
		for _, r := range fleet.Resources {
			out[env+" "+r.Ref.String()] = string(r.Digest)
		}
		if fleet.Lock != nil {
			out[env+" lock"] = string(fleet.Lock.Format())
		}
	}
	return out
}

// teamRepo is the example in a repository of its own.
func teamRepo(t *testing.T) (dir string, git func(args ...string)) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, platformteam.Files()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	git = func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ines", "-c", "user.email=ines@tidewater.example", "-c", "core.autocrlf=false", "-c", "commit.gpgSign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "the example")
	return dir, git
}

func apply(t *testing.T, dir, file, old, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(file))
	if old != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), old) {
			t.Fatalf("%s does not hold %q", file, old)
		}
		text = strings.Replace(string(content), old, text, 1)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := fs.FileMode(0o644)
	if strings.HasSuffix(file, ".sh") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// Each merge of a history in which something of every kind changes is reverted, the newest first and then, after all came
// back, in any order. What is declared has the digests that it had before, or would have if it had never been merged.
func TestARevertBringsBackEveryDigest(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("that git revert brings back every digest is NOT CHECKED: git is not here")
	}
	dir, git := teamRepo(t)
	before := make([]map[string]string, len(history)+1)
	before[0] = digests(t, dir)
	touched := map[string]bool{}
	for i, h := range history {
		git("switch", "-q", "-c", h.branch)
		apply(t, dir, h.file, h.old, h.new)
		git("add", "-A")
		git("commit", "-q", "-m", h.branch)
		git("switch", "-q", "main")
		git("merge", "-q", "--no-ff", "-m", "Merge "+h.branch, h.branch)
		git("tag", "merge-"+h.branch)
		before[i+1] = digests(t, dir)
		changed := cmp.Diff(before[i], before[i+1]) != ""
		if !changed {
			t.Fatalf("%s changes no digest, so that its revert would show nothing", h.branch)
		}
		for ref, digest := range before[i+1] {
			if before[i][ref] != digest {
				kind, _, _ := strings.Cut(strings.TrimLeft(ref, " "), "/")
				touched[strings.TrimPrefix(kind, "prod ")] = true
			}
		}
	}
	for _, kind := range []string{"Agent", "Evaluation", "Fleet", "KnowledgeSource", "Model", "Persona", "Policy", "Prompt", "Skill", "ToolServer", "Trigger", "Workflow", "lock"} {
		if !touched[kind] {
			t.Errorf("nothing of kind %s changes in the history, of %v", kind, slices.Sorted(maps.Keys(touched)))
		}
	}
	for i, h := range slices.Backward(history) {
		git("revert", "--no-edit", "-m", "1", "merge-"+h.branch)
		if diff := cmp.Diff(before[i], digests(t, dir)); diff != "" {
			t.Fatalf("after the revert of %s (-former +now):\n%s", h.branch, diff)
		}
	}
	// In any order, as long as what builds on another is reverted first. Two histories without the same merges are the same.
	git("reset", "-q", "--hard", "merge-"+history[len(history)-1].branch)
	independent := slices.DeleteFunc(slices.Clone(history), func(h struct{ branch, file, old, new string }) bool { return h.branch == "lock" })
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(independent), func(i, j int) { independent[i], independent[j] = independent[j], independent[i] })
	for _, h := range independent {
		git("revert", "--no-edit", "-m", "1", "merge-"+h.branch)
	}
	git("revert", "--no-edit", "-m", "1", "merge-lock")
	if diff := cmp.Diff(before[0], digests(t, dir)); diff != "" {
		t.Fatalf("after all were reverted in another order (-former +now):\n%s", diff)
	}
}
