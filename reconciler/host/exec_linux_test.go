package host_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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
	s := newScene(t)
	h := executing(t, os.Args[0])
	start(t, h, host.Agent{Name: "b", Digest: "d", Runtime: "r", Scale: host.Scale{Warm: 1}})
	eventually(t, "the agent b is ready", func() bool { return h.Agents()["b"].State == host.StateReady })
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
		if outcome != contained && outcomeOf(outcome) == "" {
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

// Whoever may write to the folder of a program can put anything in its place. What is no program by the time that a process is
// started is not opened to it, and no file of the host is copied to where others can read it.
func TestAProgramThatIsReplacedOpensNothingElse(t *testing.T) {
	folder := enterable(t)
	tool, secret := filepath.Join(folder, "tool"), filepath.Join(folder, "secret")
	place := func(t *testing.T) {
		t.Helper()
		text, err := os.ReadFile(shell(t))
		if err := errors.Join(err, os.RemoveAll(tool), os.WriteFile(tool, text, 0o755), os.WriteFile(secret, []byte("of the host"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	place(t)
	h := executing(t, tool)
	for name, replace := range map[string]func() error{
		"a link to a folder":       func() error { return os.Symlink(folder, tool) },
		"a link to a file":         func() error { return os.Symlink(secret, tool) },
		"a link to a program":      func() error { return os.Symlink("/bin/cat", tool) },
		"a pipe that nobody fills": func() error { return unix.Mkfifo(tool, 0o755) },
		"a folder":                 func() error { return os.Mkdir(tool, 0o755) },
		"nothing":                  func() error { return nil },
		"text":                     func() error { return os.WriteFile(tool, []byte("no program"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			place(t)
			if output, failure := run(t, h, "tool", "-c", "echo done"); output != "done\n" {
				t.Fatalf("%q, %s", output, failure)
			}
			if err := errors.Join(os.Remove(tool), replace()); err != nil {
				t.Fatal(err)
			}
			s, err := h.Open(t.Context(), "a", host.Start{Run: "run", Task: "read " + secret})
			if err == nil {
				m, err := s.Recv()
				s.Close()
				t.Fatalf("it was started: %+v, %v", m, err)
			}
			if !strings.Contains(err.Error(), tool) {
				t.Errorf("it does not tell what is wrong: %v", err)
			}
		})
	}
}

// A program names the file that loads it, which the process may read and execute from then on. It is a loader, or the process is not started.
func TestALoaderIsNoOtherFile(t *testing.T) {
	shell(t)
	executing(t, "sh")
	folder := enterable(t)
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{secret, folder, "/", "."} {
		tool := filepath.Join(folder, "tool")
		if err := os.WriteFile(tool, loadedBy(t, named), 0o755); err != nil {
			t.Fatal(err)
		}
		h := newHost(t, nil, "honest")
		a := agentA
		a.Exec = []string{tool}
		if err := h.Check(t.Context(), a); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("names the loader %q, which is none", named)) {
			t.Errorf("%s: %v", named, err)
		}
	}
}

// loadedBy is the beginning of a program that names its loader.
func loadedBy(t *testing.T, loader string) []byte {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT), Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	segment := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 56, Filesz: uint64(len(loader) + 1), Memsz: uint64(len(loader) + 1)}
	var b bytes.Buffer
	for _, part := range []any{header, segment, []byte(loader + "\x00")} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A name may lie where the agent's user cannot go, as long as the program does not.
func TestALinkToAProgramMayLieInAPrivateFolder(t *testing.T) {
	private := filepath.Join(enterable(t), "private")
	link := filepath.Join(private, "shell")
	if err := errors.Join(os.Mkdir(private, 0o700), os.Symlink(shell(t), link)); err != nil {
		t.Fatal(err)
	}
	if output, failure := run(t, executing(t, link), "shell", "-c", "echo hello"); output != "hello\n" {
		t.Errorf("%q, %s", output, failure)
	}
}

// enterable is a folder that everybody may enter.
func enterable(t *testing.T) string {
	t.Helper()
	dir := temporary(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// first names the variable of a test that is the first process of a namespace, as in a container.
const first = "MAINSTAY_TEST_FIRST"

// In a container mainstay may be the process that is given those whose parents have ended, and then nobody else waits for them.
func TestTheFirstProcessOfAContainerBuriesWhatAgentsLeave(t *testing.T) {
	if os.Getenv(first) == "" {
		if os.Getuid() != 0 {
			t.Skip("SKIPPED: only root makes the namespaces that this takes")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), first+"=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) || strings.Contains(string(out), "SKIPPED: ") {
			t.Skipf("SKIPPED: %v\n%s", err, out)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Skipf("SKIPPED: mount /proc: %v", err)
	}
	h := executingWithout(t, host.Namespaces, os.Args[0])
	for range 3 {
		text, err := json.Marshal(prey{Mark: grandchild + "-buried"})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, h, "attack "+withExec+"leave a grandchild behind|"+string(text))
		if m, err := s.Recv(); err != nil || m.Failure != nil {
			t.Fatalf("%+v, %v", m.Failure, err)
		}
		s.Close()
	}
	if err := h.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if left := host.Children(1); len(left) > 0 {
		t.Errorf("the processes %v are left", left)
	}
}
