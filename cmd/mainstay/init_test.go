package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what is run of a workflow of GitHub.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		If          string
		Permissions map[string]string
		Steps       []workflowStep
	}
}

type workflowStep struct {
	Name, ID, Uses, Run string
	Env                 map[string]string
}

// The steps of the workflow that init writes are run as they stand there, for a pull request that changes the agent. Only
// what lies behind a network is not the real thing: the Go tool that downloads, and GitHub's API behind gh.
func TestWorkflowOfANewRepositoryRuns(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the workflow runs in bash")
	}
	bin := executables(t)
	w := world{t, t.TempDir()}
	write := func(name, text string) {
		if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		raw, err := os.ReadFile(w.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	mainstay := func(args ...string) string {
		out, err := exec.Command(filepath.Join(bin, "mainstay"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("mainstay %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	mainstay("init", "--model", "scripted", w.path("repo"))
	raw, err := os.ReadFile(w.path("repo/.github/workflows/mainstay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var flow workflow
	if err := yaml.Unmarshal(raw, &flow); err != nil {
		t.Fatal(err)
	}

	// The remote, with main and a pull request.
	remote := w.path("server/team/agents")
	w.git(".", "init", "-q", "--bare", "-b", "main", remote)
	w.git("repo", "add", "-A")
	w.git("repo", "commit", "-q", "-m", "agents")
	w.git("repo", "push", "-q", remote, "HEAD:main")
	write("repo/agents/guide.md", "---\nfiles:\n  read: [\"docs/**\"]\n---\nAnswer from the documents.\n")
	w.git("repo", "commit", "-q", "-am", "less")
	w.git("repo", "push", "-q", remote, "HEAD:refs/pull/7/merge")

	// A runner: its folders, and the two programs that would ask a network.
	for _, dir := range []string{"workspace", "temp", "fake", "gopath/bin"} {
		if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fake := func(name, script string) {
		write("fake/"+name, "#!/bin/sh\n"+script)
		if err := os.Chmod(w.path("fake/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fake("go", `case "$1" in
env) echo "`+w.path("gopath")+`" ;;
install) echo "$2" > "`+w.path("installed")+`"; ln -s "`+filepath.Join(bin, "mainstay")+`" "`+w.path("gopath/bin")+`/mainstay" ;;
esac
`)
	fake("gh", `echo "$@" >> "`+w.path("gh.log")+`"
for last; do :; done
case "$*" in *--jq*) [ -e "`+w.path("commented")+`" ] && echo 42; exit 0 ;; esac
cp "${last#body=@}" "`+w.path("commented")+`"
`)
	path := w.path("fake") + string(os.PathListSeparator) + os.Getenv("PATH")
	files := map[string]string{"GITHUB_PATH": "path", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
	outputs := map[string]string{}
	expressions := func(text string) string {
		return regexp.MustCompile(`\$\{\{ ([^}]*) \}\}`).ReplaceAllStringFunc(text, func(e string) string {
			switch name := strings.Trim(e, "${} "); name {
			case "github.token":
				return "the-token"
			case "github.event.pull_request.number":
				return "7"
			case "needs.check.outputs.plan":
				return outputs["plan"]
			default:
				t.Fatalf("the test does not know %s", e)
				return ""
			}
		})
	}
	run := func(s workflowStep) string {
		cmd := exec.Command("bash", "-e", "-c", s.Run)
		cmd.Dir = w.path("workspace")
		cmd.Env = []string{"PATH=" + path, "HOME=" + w.dir, "GIT_CONFIG_NOSYSTEM=1", "GITHUB_SERVER_URL=file://" + w.path("server"), "GITHUB_REPOSITORY=team/agents",
			"GITHUB_REF=refs/pull/7/merge", "GITHUB_BASE_REF=main", "RUNNER_TEMP=" + w.path("temp")}
		for name, file := range files {
			cmd.Env = append(cmd.Env, name+"="+w.path(file))
		}
		for name, value := range s.Env {
			cmd.Env = append(cmd.Env, name+"="+expressions(value))
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", s.Name, err, out)
		}
		if raw, err := os.ReadFile(w.path("path")); err == nil {
			path = strings.TrimSpace(string(raw)) + string(os.PathListSeparator) + path
		}
		return string(out)
	}

	// Nobody else's code runs, what reads the change may write nothing, and what may comment does not see the change.
	if flow.Permissions == nil || len(flow.Permissions) > 0 {
		t.Errorf("the workflow gives %v to all of its jobs", flow.Permissions)
	}
	for name, job := range flow.Jobs {
		for _, s := range job.Steps {
			if s.Uses != "" || strings.Contains(s.Run, "${{") {
				t.Errorf("%s: %q uses %q, or puts an expression into a script", name, s.Name, s.Uses)
			}
		}
	}
	check, comment := flow.Jobs["check"], flow.Jobs["comment"]
	if len(flow.Jobs) != 2 || len(check.Permissions) != 1 || check.Permissions["contents"] != "read" || len(comment.Permissions) != 1 ||
		comment.Permissions["pull-requests"] != "write" || !strings.Contains(comment.If, "head.repo.full_name == github.repository") {
		t.Errorf("the jobs have %v and %v, if %s", check.Permissions, comment.Permissions, comment.If)
	}

	plans := strings.Contains(mainstay("plan", "--help"), "--against")
	for _, s := range check.Steps {
		if s.ID == "plan" && !plans {
			continue
		}
		out := run(s)
		if s.Name == "Check out" {
			login := regexp.MustCompile(`::add-mask::(\S+)`).FindStringSubmatch(out)
			config, err := os.ReadFile(w.path("workspace/.git/config"))
			if err != nil || login == nil || strings.Contains(string(config), login[1]) || strings.Contains(string(config), "the-token") {
				t.Errorf("the token is not masked, or stays on disk: %q %v", config, err)
			}
		}
	}
	if installed := read("installed"); !strings.HasPrefix(installed, "github.com/mainstay-dev/mainstay/cmd/mainstay@") || strings.Contains(installed, placeVersion) {
		t.Errorf("it installs %s", installed)
	}
	if !plans {
		t.Log("this mainstay has no plan --against yet: Plan and Comment did not run")
		return
	}
	output := regexp.MustCompile(`(?s)^plan<<(end-[0-9a-f]{32})\n(.*)\n(end-[0-9a-f]{32})\n$`).FindStringSubmatch(read("output"))
	if output == nil || output[1] != output[3] || !strings.Contains(output[2], "guide") || strings.TrimSpace(read("summary")) != strings.TrimSpace(output[2]) {
		t.Fatalf("the plan is %q, the summary %q", read("output"), read("summary"))
	}
	outputs["plan"] = output[2]
	run(comment.Steps[0])
	run(comment.Steps[0])
	const made, changed = "api --silent repos/team/agents/issues/7/comments -F", "api --silent --method PATCH repos/team/agents/issues/comments/42 -F"
	calls := strings.Split(read("gh.log"), "\n")
	count := func(prefix string) int {
		return len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return !strings.HasPrefix(c, prefix) }))
	}
	if count(made) != 1 || count(changed) != 1 {
		t.Errorf("the second time the comment is changed, not made again: %q", calls)
	}
	if body := read("commented"); !strings.HasPrefix(body, "<!-- the plan of mainstay -->\n") || !strings.Contains(body, output[2]) {
		t.Errorf("the comment is %q", body)
	}
}

func TestInstallable(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "v1.2.3", "v0.0.0-20261128032222-9fe83ce0a1b2": "v0.0.0-20261128032222-9fe83ce0a1b2",
		"v0.0.0-20261128032222-9fe83ce0a1b2+dirty": "latest", "devel": "latest", "devel-9fe83ce0a1b2": "latest",
	} {
		if got := installable(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}
