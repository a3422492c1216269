package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mainstay-dev/mainstay/reconciler/host"
)

var update = flag.Bool("update", false, "write the outcomes of the attacks to plugins/README.md")

// What became of an attack.
const (
	isOpen    = "**open**"  // it came through
	denied    = "denied"    // the agent was refused
	contained = "contained" // the agent could, and no one else noticed
	killed    = "killed"    // the agent's process was ended
	refused   = "refused"   // the agent is not started
)

// levels are the walls that the attacks are tried behind, one column of the table each. The last is what root reaches, the
// one before it what root reaches where it may make no control groups, then come an ordinary user and most containers.
var levels = []host.Isolation{
	0, host.Landlock, host.Seccomp, host.UID, host.Namespaces, host.Cgroup, host.Landlock | host.Seccomp,
	host.Landlock | host.Seccomp | host.Namespaces, host.Landlock | host.Seccomp | host.UID | host.Namespaces, allWalls,
}

// stricter are attacks that some systems deny whatever the walls are: by Yama, by a setting, by the filter of a container,
// or because the file system cannot do it.
var stricter = map[string]bool{
	"trace another agent": true, "process_vm_readv of another agent": true, "read another agent's memory": true,
	"io_uring": true, "fill the disk: reserved space": true, "fork bomb": true,
	// The machine may be too busy for it to come far.
	"hog the processors": true,
}

// lasting are attacks that leave something in their process, or hold it, where they are not refused.
var lasting = map[string]bool{
	"a message of 100 MB": true, "fill the disk: a large file": true, "fill the disk: many files": true,
	"fill the disk: reserved space": true, "fork bomb": true, "ignore every signal": true, "leave a grandchild behind": true,
	"hog the processors": true, "leave its control group": true, "memory bomb: memfd": true, "open files without end": true, "stop itself": true, "thread bomb": true,
}

const readme = "../../plugins/README.md"

// The table in plugins/README.md says what becomes of every attack behind each set of walls. It is what was observed:
// `go test ./reconciler/host -run TestAttacks -update`, as root, where all walls can be had, and as an ordinary user, whose
// tasks are bounded where root's are not. Whoever runs this test checks the columns that can be had there.
func TestAttacksEndAsTheTableSays(t *testing.T) {
	if abi := host.LandlockABI(); abi > 0 && abi < 6 {
		t.Skipf("the table is about Landlock 6, and this kernel has %d", abi)
	}
	if raced {
		t.Skip("the race detector takes more memory than the attacks may")
	}
	table := readTable(t)
	scene := newScene(t)
	for _, level := range levels {
		t.Run(level.String(), func(t *testing.T) {
			h, little := attacked(t, attacker("", level), level, false), attacked(t, attacker("", level), level, true)
			armed := attacked(t, attacker(withExec, level), level, true)
			for _, name := range slices.Sorted(maps.Keys(attacks)) {
				began := time.Now()
				on := h
				if strings.Contains(name, "bomb") || name == "hog the processors" {
					on = little
				}
				outcome := refused
				if strings.HasPrefix(name, withExec) {
					on = armed
				}
				if on == nil && level&host.Namespaces != 0 && os.Getuid() == 0 {
					outcome = "" // An ordinary user's tasks are bounded, and root's are not.
				}
				if on != nil {
					outcome = scene.try(t, on, name, level)
				}
				t.Logf("%s: %s in %s", name, outcome, time.Since(began).Round(time.Millisecond))
				want := table[name][level]
				if table[name] == nil {
					table[name] = map[host.Isolation]string{}
				}
				switch {
				case outcome == isOpen && level&(host.Landlock|host.Seccomp) == host.Landlock|host.Seccomp && name != "hog the processors":
					t.Errorf("%s: it came through the walls of every container", name)
				case outcome == "" || outcome == want:
				case *update:
					table[name][level] = outcome
				case want == isOpen && stricter[name]:
				case want == killed && outcome == contained && name == withExec+"memory bomb: many processes":
					// Of a control group of version 1 the kernel picks one process, which need not be the first.
				case want == contained && outcome == killed && strings.HasSuffix(name, "fork bomb"):
					// Where no task is left to it, its own Go runtime may be the next to want one, and gives up.
				default:
					t.Errorf("%s: %s, and the table says %q", name, outcome, want)
				}
			}
		})
	}
	if *update {
		writeTable(t, table)
	}
}

// attacked returns a host with the agents a and b behind these walls and no others, or nil where they are too few for what a
// may execute.
func attacked(t *testing.T, a host.Agent, level host.Isolation, little bool) *host.Host {
	t.Helper()
	h := newHost(t, nil, "honest")
	if little {
		host.LittleRoom(h)
	}
	host.WithoutWalls(h, allWalls&^level)
	if err := h.Check(t.Context(), a); err != nil {
		missing, ok := errors.AsType[*host.MissingError](err)
		if ok && missing.Exec {
			t.Log(err)
			return nil
		}
		if ok {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	start(t, h, a)
	start(t, h, host.Agent{Name: "b", Digest: "d", Runtime: "r", Require: level, Scale: host.Scale{Warm: 1}})
	eventually(t, "the agent b is ready", func() bool { return h.Agents()["b"].State == host.StateReady })
	return h
}

// attacker is the agent that carries out an attack.
func attacker(name string, level host.Isolation) host.Agent {
	a := host.Agent{Name: "a", Digest: "d", Runtime: "r", Require: level}
	if strings.HasPrefix(name, withExec) {
		a.Exec = []string{os.Args[0]}
	}
	return a
}

// scene is what the attacks go for.
type scene struct {
	prey
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{}
	s.Mark = fmt.Sprintf("%s-%d", grandchild, os.Getpid())
	dir := temporary(t)
	s.Secret, s.Open = filepath.Join(dir, "secret"), filepath.Join(dir, "open")
	if err := errors.Join(os.WriteFile(s.Secret, []byte(secret), 0o600), os.Mkdir(s.Open, 0o700), os.Chmod(s.Open, 0o777)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(s.Secret)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s.Inherited, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD, 100); err != nil { // without FD_CLOEXEC
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.Inherited) })
	s.Abstract = fmt.Sprintf("@mainstay-test-%d", os.Getpid())
	listenUnix(t, s.Abstract)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	s.TCP, s.UDP = tcp.Addr().String(), udp.LocalAddr().String()
	s.Host = hardened(t)
	return s
}

// hardened starts a host that looks after itself, and returns its process.
func hardened(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "hardened-host", temporary(t))
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary(t), "MAINSTAY_TEST_SECRET=a secret of the host")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the hardened host said %q", line)
	}
	return cmd.Process.Pid
}

// doom starts the process that may be killed. The returned function ends it.
func (s *scene) doom(t *testing.T) (end func()) {
	t.Helper()
	doomed := exec.Command(os.Args[0], grandchild+"-doomed")
	if err := doomed.Start(); err != nil {
		t.Fatal(err)
	}
	s.Doomed = doomed.Process.Pid
	return func() { _ = doomed.Process.Kill(); _ = doomed.Wait() }
}

// try has the agent a attack, and says what became of it; "" where that is not tried behind these walls. Whatever becomes
// of it, the host and the agent b go on.
func (s *scene) try(t *testing.T, h *host.Host, name string, level host.Isolation) string {
	t.Helper()
	switch {
	case name == "thread bomb" && level&(host.UID|host.Namespaces|host.Cgroup) == 0:
		return "" // Nothing bounds it but the limits of the user that runs the tests.
	case name == "fork bomb" && level == host.Namespaces && os.Getuid() == 0:
		return "" // An ordinary user's is bounded, and root's is not.
	case name == "leave its control group" && level&host.Cgroup == 0:
		return "" // It is in that of the tests.
	case name == "guess the number that opens the filter" && level&host.Seccomp == 0:
		return "" // There is none.
	case name == "signal everyone" && level&(host.Seccomp|host.Namespaces) == 0:
		return "" // It would reach all that runs here.
	}
	if name == "have a file signal a process" {
		defer s.doom(t)()
	}
	s.Agent = h.Agents()["b"].Processes[0].PID
	s.Folder, s.Socket = host.Places(h, "b")
	prey, err := json.Marshal(s.prey)
	if err != nil {
		t.Fatal(err)
	}
	session := open(t, h, "attack "+name+"|"+string(prey))
	outcome := s.outcome(t, h, session, name)
	session.Close()
	if outcome == killed || lasting[name] { // What is left of it goes.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Stop(gone, "a"); err != nil || alive(session.PID()) {
			t.Errorf("%s: stop: %v, alive %v", name, err, alive(session.PID()))
		}
		start(t, h, attacker(name, level))
	}
	if name == withExec+"leave a grandchild behind" && outcome == isOpen { // It goes with the run, which was told to have ended.
		eventually(t, "it goes with the run", func() bool { return len(marked(t, s.Mark)) == 0 })
		outcome = killed
	}
	if name == "leave a grandchild behind" && outcome == isOpen && !s.endGrandchildren(t) {
		outcome = killed
	}
	if b := h.Agents()["b"]; !slices.Equal(b.PIDs(), []int{s.Agent}) || b.State != host.StateReady || !alive(s.Host) {
		t.Fatalf("%s: the agent b is %+v, and the host is there: %v", name, b, alive(s.Host))
	}
	return outcome
}

// outcome waits for the end of an attack.
func (s *scene) outcome(t *testing.T, h *host.Host, session *host.Session, name string) string {
	t.Helper()
	type end struct {
		message host.Message
		err     error
	}
	ended := make(chan end, 1)
	go func() {
		m, err := session.Recv()
		ended <- end{m, err}
	}()
	var e end
	late := time.After(time.Minute)
	for waited := false; !waited; {
		select {
		case e = <-ended:
			waited = true
		case <-late:
			t.Errorf("%s: it does not end", name)
			return isOpen
		case <-time.After(10 * time.Millisecond):
			if strings.Contains(procState(t, session.PID()), "T") {
				return contained // It hurts itself, and goes when it is told to.
			}
			if name == "ignore every signal" && ignoresSignals(session.PID()) {
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				_ = h.Stop(gone, "a")
			}
		}
	}
	if exit, ok := errors.AsType[*host.ExitError](e.err); ok {
		switch exit.Code {
		case 42:
			return isOpen // It became another program.
		case 127:
			return denied // It became the loader, which may not read another program.
		}
		return killed
	}
	if e.err != nil {
		return contained // The run is over, and no more than that.
	}
	if e.message.Failure == nil {
		if name == "have a file signal a process" {
			return s.signalled(t)
		}
		if e.message.Result.Output == contained {
			return contained
		}
		return isOpen
	}
	text := e.message.Failure.Message
	if outcome := outcomeOf(text); outcome != "" {
		t.Logf("%s: %.200s", name, text)
		return outcome
	}
	t.Errorf("%s: something else kept it from it: %.300s", name, text)
	return denied
}

// outcomeOf is what became of an attack by what the agent says has kept it from it, or "".
func outcomeOf(text string) string {
	for outcome, reasons := range map[string][]string{
		denied: {"not permitted", "permission denied", "no such process", "unreachable", "no effect", "bad file descriptor", "connection refused", "function not implemented"},
		contained: {"too many open files", "file too large", "resource temporarily unavailable", "larger than", "bytes, more than",
			"not supported"},
	} {
		for _, reason := range reasons {
			if strings.Contains(text, reason) {
				return outcome
			}
		}
	}
	return ""
}

// signalled says whether the process that may be killed was.
func (s *scene) signalled(t *testing.T) string {
	t.Helper()
	for range 20 {
		if state := procState(t, s.Doomed); state == "Z" || state == "X" {
			return isOpen
		}
		time.Sleep(10 * time.Millisecond)
	}
	return denied
}

// ignoresSignals says whether a process ignores SIGTERM.
func ignoresSignals(pid int) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(status), "\nSigIgn:\t")
	var mask uint64
	_, _ = fmt.Sscanf(after, "%x", &mask)
	return mask&(1<<(unix.SIGTERM-1)) != 0
}

// endGrandchildren ends the processes that agents have left behind, and says whether there were any.
func (s *scene) endGrandchildren(t *testing.T) bool {
	t.Helper()
	pids := marked(t, s.Mark)
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	return len(pids) > 0
}

const begin, end = "<!-- attacks: go test ./reconciler/host -run TestAttacks -update -->\n", "<!-- end of attacks -->\n"

// readTable reads the table, by attack and walls.
func readTable(t *testing.T) map[string]map[host.Isolation]string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), begin)
	body, _, closed := strings.Cut(after, end)
	if !found || !closed {
		t.Fatalf("%s has no %q and %q", readme, begin, end)
	}
	table := map[string]map[host.Isolation]string{}
	for i, line := range slices.Collect(strings.SplitSeq(strings.TrimSpace(body), "\n")) {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if i < 2 || len(cells) != len(levels)+1 {
			continue
		}
		row := map[host.Isolation]string{}
		for n, level := range levels {
			row[level] = strings.TrimSpace(cells[n+1])
		}
		table[strings.TrimSpace(cells[0])] = row
	}
	for name := range table {
		if attacks[name] == nil {
			delete(table, name)
			if !*update {
				t.Errorf("the table tells of %q, which is no attack", name)
			}
		}
	}
	return table
}

func writeTable(t *testing.T, table map[string]map[host.Isolation]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("| attack |")
	for _, level := range levels {
		fmt.Fprintf(&b, " %s |", level)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(levels)) + "\n")
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, level := range levels {
			outcome := table[name][level]
			if outcome == "" {
				outcome = "-"
			}
			fmt.Fprintf(&b, " %s |", outcome)
		}
		b.WriteString("\n")
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), begin)
	_, after, _ := strings.Cut(rest, end)
	if err := os.WriteFile(readme, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
