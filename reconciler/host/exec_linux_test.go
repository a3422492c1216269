package host_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/host"
)

// executing returns a host with the agent a, which may execute these programs. Where it cannot be had the test is skipped.
func executing(t *testing.T, programs ...string) *host.Host {
	t.Helper()
	return executingWithout(t, 0, programs...)
}

// executingWithout leaves walls out.
func executingWithout(t *testing.T, walls host.Isolation, programs ...string) *host.Host {
	t.Helper()
	h := newHost(t, nil, "honest")
	host.WithoutWalls(h, walls)
	a := agentA
	a.Exec = programs
	err := h.Check(t.Context(), a)
	if missing, ok := errors.AsType[*host.MissingError](err); ok && missing.Exec {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	start(t, h, a)
	return h
}

// run has an agent execute a program, and returns what that prints.
func run(t *testing.T, h *host.Host, words ...string) (output, failure string) {
	t.Helper()
	text, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, h, "execute "+string(text))
}

// shell is a program of this system that lies where everyone can execute it.
func shell(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return path
}

func TestAnAgentExecutesWhatItDeclares(t *testing.T) {
	sh := shell(t)
	h := executing(t, "sh", "sleep")
	for script, want := range map[string]string{
		"echo it is $((6*7))":                                               "it is 42\n",
		"echo $HOME$USER$MAINSTAY_RUNTIME$TMPDIR":                           "\n",
		"sh -c 'echo another' | while read x; do echo $x and another; done": "another and another\n",
		"sleep 100 & kill -9 $! && wait $! 2> /dev/null; test $? = 137 && echo it ends what it has started": "it ends what it has started\n",
	} {
		if !strings.Contains(h.Agents()["a"].Isolation, "namespaces") && strings.Contains(script, "kill") {
			continue // Signals pass in a namespace of its own.
		}
		output, failure := do(t, h, "shell "+script)
		if output != want || failure != "" {
			t.Errorf("%s: %q, %s, want %q", script, output, failure, want)
		}
	}
	for _, words := range [][]string{{"ls"}, {"/bin/ls"}, {"sh", "-c", "ls"}, {"sh", "-c", "/bin/ls"}} {
		if output, failure := run(t, h, words...); failure == "" {
			t.Errorf("%q: %q, and it is not declared", words, output)
		}
	}
	// The same by its path.
	h = executing(t, sh)
	if output, failure := run(t, h, "sh", "-c", "echo hello"); output != "hello\n" {
		t.Errorf("%q, %s", output, failure)
	}
}

// What lies in the folder of an agent is no program that it may execute, whoever has put it there.
func TestNothingIsExecutedInTheAgentsFolder(t *testing.T) {
	h := executing(t, shell(t))
	start(t, h, host.Agent{Name: "a", Digest: "d", Runtime: "r", Exec: []string{"sh"}, Scale: host.Scale{Warm: 1}})
	eventually(t, "it is ready", func() bool { return h.Agents()["a"].State == host.StateReady })
	folder, _ := host.Places(h, "a")
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "script"), []byte("#!/bin/sh\necho done\n"), 0o755),
		os.WriteFile(filepath.Join(folder, "copy"), self, 0o755), os.Chmod(folder, 0o711)); err != nil {
		t.Fatal(err)
	}
	output, failure := run(t, h, "sh", "-c", fmt.Sprintf("for f in script copy; do %s/$f %s; echo it ended with $?; done", folder, exit42))
	if strings.Count(output, "it ended with 126\n") != 2 {
		t.Errorf("%q, %s", output, failure)
	}
}

// What an agent starts is behind the same walls: it is tried with every attack that does not take long.
func TestAChildHoldsNoMoreThanItsParent(t *testing.T) {
	if raced {
		t.Skip("SKIPPED: the race detector takes more memory than there is")
	}
	h := executing(t, os.Args[0])
	start(t, h, host.Agent{Name: "b", Digest: "d", Runtime: "r", Scale: host.Scale{Warm: 1}})
	eventually(t, "the agent b is ready", func() bool { return h.Agents()["b"].State == host.StateReady })
	s := newScene(t)
	defer s.doom(t)()
	s.Agent = h.Agents()["b"].Processes[0].PID
	s.Folder, s.Socket = host.Places(h, "b")
	prey, err := json.Marshal(s.prey)
	if err != nil {
		t.Fatal(err)
	}
	reached, err := host.ParseIsolation(h.Agents()["a"].Isolation)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{filepath.Base(os.Args[0]), attackAs, string(prey)}
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		// The others are tried by the agent itself, or harm it alone.
		if !lasting[name] && !strings.HasPrefix(name, withExec) && !strings.Contains(name, "bomb") && name != "flood the log" {
			words = append(words, name)
		}
	}
	output, failure := run(t, h, words...)
	came := map[string]string{}
	if err := json.Unmarshal([]byte(output), &came); err != nil || len(came) != len(words)-3 || len(came) < 20 {
		t.Fatalf("%v: %q, %s", err, output, failure)
	}
	for name, outcome := range came {
		if outcomeOf(outcome) == "" {
			t.Errorf("%s behind %s: it came through: %q", name, reached, outcome)
		}
	}
}

// A process that may execute programs has one run, and what it has started ends with that.
func TestWhatAnAgentHasStartedEndsWithItsRun(t *testing.T) {
	for name, without := range map[string]host.Isolation{"cgroup": host.Namespaces, "namespaces": host.Cgroup} {
		t.Run(name, func(t *testing.T) { endsWithItsRun(t, executingWithout(t, without, os.Args[0])) })
	}
}

func endsWithItsRun(t *testing.T, h *host.Host) {
	one, other := open(t, h, "hang"), open(t, h, "hang")
	if one.PID() == other.PID() {
		t.Errorf("two runs share the process %d", one.PID())
	}
	mark := fmt.Sprintf("%s-run-%d", grandchild, os.Getpid())
	prey, err := json.Marshal(prey{Mark: mark})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, h, "attack "+withExec+"leave a grandchild behind|"+string(prey))
	var its []int // It is once, before it is what it becomes, and has no name in between.
	eventually(t, "it is there", func() bool { its = marked(t, mark); return len(its) == 1 })
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", its[0]))
	if err != nil || !slices.ContainsFunc(strings.Split(string(limits), "\n"), func(line string) bool {
		return slices.Equal(strings.Fields(line), []string{"Max", "file", "size", "0", "0", "bytes"})
	}) {
		t.Errorf("its limits are not those of the process that started it: %v\n%s", err, limits)
	}
	if m, err := s.Recv(); err != nil || m.Failure != nil {
		t.Fatalf("%+v, %v", m.Failure, err)
	}
	s.Close()
	eventually(t, "nothing is left of the run", func() bool { return !alive(s.PID()) && len(marked(t, mark)) == 0 })
}

func TestAnAgentThatExecutesIsRefusedWhereItCannotBeShutIn(t *testing.T) {
	sh := shell(t)
	for _, test := range []struct {
		name    string
		without host.Isolation
		want    string
	}{
		{"files", host.Landlock, "an agent that executes programs needs the isolation landlock and seccomp, and landlock cannot be had here"},
		{"calls", host.Seccomp, "an agent that executes programs needs the isolation landlock and seccomp, and seccomp cannot be had here"},
		{"what it starts", host.Namespaces | host.Cgroup, "an agent that executes programs needs the isolation cgroup, or namespaces and a user of its own, so that what it starts ends with it and shares its limits, and neither can be had here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, nil, "honest")
			host.WithoutWalls(h, test.without)
			a := agentA
			a.Exec = []string{sh}
			err := h.Check(t.Context(), a)
			if missing, ok := errors.AsType[*host.MissingError](err); !ok || !missing.Exec || !strings.Contains(err.Error(), test.want) || !strings.HasSuffix(err.Error(), "or remove isolation.exec") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestWhatIsDeclaredMustBeAProgram(t *testing.T) {
	sh := shell(t)
	plain := writeFile(t, "plain", "no program")
	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	script := writeFile(t, "script", "#!"+sh+"\n")
	named := writeFile(t, "named", "#!/usr/bin/env sh\n")
	for _, tt := range []struct {
		name    string
		exec    []string
		refused string
	}{
		{"a name that is not there", []string{"no-such-program"}, `isolation.exec names "no-such-program", which is not found in the PATH of mainstay`},
		{"a path that is not there", []string{"/nowhere/sh"}, `isolation.exec names "/nowhere/sh": `},
		{"a folder", []string{"/usr"}, `isolation.exec names "/usr", which is a folder: name the programs in it`},
		{"a file that is no program", []string{plain}, "which is not an executable file"},
		{"a script without its interpreter", []string{script}, "a script that is run by "},
		{"a script that is run by env", []string{named, sh}, "a script that is run by "},
		{"a script with its interpreter", []string{script, sh}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, nil, "honest")
			a := agentA
			a.Exec = tt.exec
			err := h.Start(a)
			if tt.refused == "" && err != nil || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("%v, want %q", err, tt.refused)
			}
		})
	}
}
