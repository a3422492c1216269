package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/examples/quickstart"
	"github.com/mainstay-dev/mainstay/plugins/langgraph/langgraphtest"
	"github.com/mainstay-dev/mainstay/spec"
)

// blocks returns the fenced blocks of a language in the README.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	return blocksOf(t, "../../README.md", language)
}

// blocksOf returns the fenced blocks of a language in a Markdown file.
func blocksOf(t *testing.T, path, language string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		list = append(list, m[1])
	}
	return list
}

// What differs from one demo to the next: ids, times, the process, the folder, and how strong this machine's walls are.
var differs = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`Mainstay demo in \S+`), "Mainstay demo in DIR"},
	{regexp.MustCompile(`\S+/(remote\.git|state)\b`), "DIR/$1"},
	{regexp.MustCompile(`\b[0-9a-hjkmnp-tv-z]{26}\b`), "RUN"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "COMMIT"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "KEY"},
	{regexp.MustCompile(`(merge |main@)[0-9a-f]{7}\b`), "${1}COMMIT"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`process( \d+)?, isolation \S+`), "process PID, isolation WALLS"},
	{regexp.MustCompile(`(?m)^  (go run \./cmd/mainstay|mainstay\S*) `), "  mainstay "},
	{regexp.MustCompile(` +#`), " #"},
}

func normalise(text string) string {
	for _, d := range differs {
		text = d.pattern.ReplaceAllString(text, d.is)
	}
	return text
}

func TestReadmeShowsWhatTheDemoSays(t *testing.T) {
	out, err := exec.Command(filepath.Join(executables(t), "mainstay"), "demo", "--yes", "--dir", filepath.Join(t.TempDir(), "demo")).Output()
	if err != nil {
		t.Fatal(err)
	}
	shown := blocks(t, "text")
	if len(shown) != 1 {
		t.Fatalf("the README shows %d outputs, want 1", len(shown))
	}
	if d := cmp.Diff(normalise(shown[0]), normalise(string(out))); d != "" {
		t.Errorf("the README shows what the demo does not say (-README +demo); paste the demo's output into it:\n%s", d)
	}
}

// blockWith is the block of the README in a language that holds a text.
func blockWith(t *testing.T, language, text string) string {
	t.Helper()
	all := blocks(t, language)
	i := slices.IndexFunc(all, func(block string) bool { return strings.Contains(block, text) })
	if i < 0 {
		t.Fatalf("the README has no %s block with %q", language, text)
	}
	return all[i]
}

// The source in the README's part about knowledge is declared, and the commands beneath it are run as they stand there.
func TestReadmeKnowledgeCommandsRun(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"mainstay.yaml":           "apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\nspec: {}\n",
		"knowledge/runbooks.yaml": blockWith(t, "yaml", "KnowledgeSource"),
		"docs/checkout.md":        "# Checkout\n\nTo roll back checkout, revert its merge.\n",
		"catalog-info.yaml":       "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: cart}\nspec: {type: service, lifecycle: production, owner: shop}\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w := world{t, dir}
	w.git(".", "init", "-q", "-b", "main")
	w.git(".", "add", ".")
	w.git(".", "commit", "-q", "-m", "seed")
	ran := 0
	for line := range strings.Lines(blockWith(t, "sh", "mainstay kb search")) {
		line, _, _ = strings.Cut(line, "  #")
		cmd := exec.Command("sh", "-c", "exec "+strings.ReplaceAll(strings.TrimSpace(line), "bin/mainstay", filepath.Join(executables(t), "mainstay")))
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, ".git", "cache"))
		out, err := cmd.CombinedOutput()
		if err != nil || ran == 0 && !strings.Contains(string(out), "docs/checkout.md:") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		ran++
	}
	if ran < 3 {
		t.Errorf("the README has %d commands for knowledge", ran)
	}
}

// Every command of the README's block about a repository of one's own is run as it stands there, against one made from the quickstart.
func TestReadmeCommandsRun(t *testing.T) {
	commands := strings.Split(strings.TrimSpace(blockWith(t, "sh", "mainstay get agents")), "\n")
	w := world{t, t.TempDir()}
	w.git(".", "init", "-q", "--bare", "-b", "main", w.path("remote.git"))
	if err := os.CopyFS(w.path("repo"), quickstart.Files()); err != nil {
		t.Fatal(err)
	}
	w.git("repo", "init", "-q", "-b", "main")
	w.git("repo", "add", ".")
	w.git("repo", "commit", "-q", "-m", "seed")
	w.git("repo", "push", "-q", w.path("remote.git"), "main")

	bin := executables(t)
	env := append(os.Environ(), "HOME="+w.dir, "XDG_STATE_HOME="+w.path("xdg"), "XDG_CACHE_HOME="+w.path("cache"))
	program := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", "exec "+line)
		cmd.Dir, cmd.Env = "../..", env
		return cmd
	}
	var run string
	for _, line := range commands {
		line, _, _ = strings.Cut(line, "  #")
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "go build -o bin/ ") {
			continue // executables has done the same.
		}
		line = strings.ReplaceAll(line, "bin/mainstay", filepath.Join(bin, "mainstay"))
		line = strings.ReplaceAll(line, "YOUR-REPO", w.path("remote.git"))
		line = strings.ReplaceAll(line, "YOUR-FOLDER", w.path("new"))
		line = strings.ReplaceAll(line, "YOUR-CLONE", w.path("repo"))
		line = strings.ReplaceAll(line, " RUN", " "+run)
		if strings.Contains(line, "mainstay run --repo") {
			var stderr bytes.Buffer
			daemon := program(line)
			daemon.Stderr = &stderr
			if err := daemon.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				if err := daemon.Wait(); err != nil {
					t.Errorf("the daemon ended with %v\n%s", err, stderr.String())
				}
			}()
			run = firstRun(t, func() ([]byte, error) { return program(filepath.Join(bin, "mainstay") + " get runs -o json").Output() })
			continue
		}
		if out, err := program(line).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// firstRun polls until the trigger has started a run.
func firstRun(t *testing.T, get func() ([]byte, error)) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := get()
		var runs []spec.RunSummary
		if err == nil && json.Unmarshal(out, &runs) == nil && len(runs) > 0 {
			return string(runs[0].Run)
		}
	}
	t.Fatal("no run started within a minute")
	return ""
}

// The commands of the example's README are run as they stand there, but for the builds, which langgraphtest has done the same.
func TestLangGraphReadmeCommandsRun(t *testing.T) {
	graph, err := incidentGraph()
	if errors.Is(err, langgraphtest.ErrCannot) {
		t.Skipf("SKIPPED: %v", err)
	}
	w := world{t, t.TempDir()}
	bin := filepath.Join(w.dir, "bin")
	for _, from := range []string{graph, filepath.Join(executables(t), "mainstay")} {
		content, readErr := os.ReadFile(from)
		if err = errors.Join(err, readErr, os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, filepath.Base(from)), content, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	var said []byte
	for _, block := range blocksOf(t, "../../examples/langgraph/README.md", "sh") {
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "go build ") || strings.HasPrefix(line, "npm ") || strings.HasSuffix(line, " bin/") {
				continue
			}
			line = strings.NewReplacer("bin/mainstay", filepath.Join(bin, "mainstay"), "/tmp/shop", w.path("shop")).Replace(line)
			cmd := exec.Command("sh", "-c", line)
			cmd.Dir = "../.."
			cmd.Env = append(os.Environ(), "HOME="+w.dir, "XDG_STATE_HOME="+w.path("xdg"), "XDG_CACHE_HOME="+w.path("cache"),
				"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
			if said, err = cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, said)
			}
		}
	}
	if !strings.Contains(string(said), "Restart deployment shop/frontend") {
		t.Errorf("the last command says\n%s", said)
	}
}
