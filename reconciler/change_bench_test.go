package reconciler_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkOneFileCommit is one commit that changes one file, from the fetch to the plan, in repositories with a thousand
// and ten thousand resources. The cost follows the change: the second takes at most twice the time of the first.
func BenchmarkOneFileCommit(b *testing.B) {
	for _, resources := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("resources=%d", resources), func(b *testing.B) { oneFileCommits(b, resources) })
	}
}

func oneFileCommits(b *testing.B, resources int) {
	ctx := context.Background()
	work := b.TempDir()
	origin := filepath.Join(b.TempDir(), "origin.git")
	write := func(name, text string) {
		path := filepath.Join(work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	git := func(args ...string) {
		cmd := exec.Command("git", args...)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+work, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0") // It would go on in the background while the next pass is timed.
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write("mainstay.yaml", "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: many}\nspec: {defaults: {model: m0}}\n")
	for i := range resources / 100 {
		write(fmt.Sprintf("models/m%d.yaml", i), fmt.Sprintf("apiVersion: mainstay.dev/v1alpha1\nkind: Model\nmetadata: {name: m%d}\nspec: {provider: ollama, name: qwen3}\n", i))
	}
	for i := range resources - resources/100 - 1 {
		write(fmt.Sprintf("agents/team-%d/agent-%d.md", i/50, i), fmt.Sprintf("---\ndescription: Agent %d.\nmodel: m%d\n---\nLook after service %d.\n", i, i%(resources/100), i))
	}
	git("init", "-q", "-b", "main")
	git("add", "-A")
	git("commit", "-q", "-m", "all")
	git("clone", "-q", "--bare", ".", origin)
	git("-C", origin, "repack", "-adq") // As a forge keeps it: what git itself needs for loose objects is not this project's cost.
	git("remote", "add", "origin", origin)

	rem, err := remote.Open(ctx, remote.Options{URL: origin})
	if err != nil {
		b.Fatal(err)
	}
	defer rem.Close()
	src, err := source.New(source.Options{Remote: rem, Branch: "main"})
	if err != nil {
		b.Fatal(err)
	}
	var cache spec.Cache
	observed := plan.Observed{Agents: map[spec.AgentName]spec.Digest{}}
	pass := func() int {
		seen, err := src.Observe(ctx)
		if err != nil {
			b.Fatal(err)
		}
		fleet, problems := spec.Load(seen.Tree, spec.LoadOptions{Cache: &cache})
		if problems.HasErrors() {
			b.Fatal(problems)
		}
		steps := plan.Diff(observed, fleet)
		for _, s := range steps {
			observed.Agents[spec.AgentName(s.Ref.Name)] = s.To
		}
		return len(steps)
	}
	pass()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		write("agents/team-3/agent-170.md", fmt.Sprintf("Look after service 170, for the %dth time.\n", n))
		git("commit", "-q", "-a", "-m", "one file")
		git("push", "-q", "origin", "main")
		b.StartTimer()
		if steps := pass(); steps != 1 {
			b.Fatalf("the commit makes %d steps, not one", steps)
		}
	}
}
