package jsonnet

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The limits of a [Child] that sets none.
const (
	defaultWall   = 5 * time.Second
	defaultTotal  = time.Minute
	defaultMemory = 512 << 20
	minMemory     = 64 << 20
)

// startLimit is how long a child may take until it is ready to be given a program.
const startLimit = 30 * time.Second

// Child evaluates programs in a process of its own. One process evaluates many files; where one of them makes it end, the
// files that follow get a new one. A Child holds no process between calls, and may be used from many goroutines.
type Child struct {
	// Command starts a process that calls [ServeChild] on its standard input and output before anything else.
	Command []string
	// Wall is how long one file may take. 0 is 5 s.
	Wall time.Duration
	// Total is how long all files of one call may take together. 0 is a minute.
	Total time.Duration
	// Memory is how much the process may use, in bytes. 0 is 512 MiB; less than 64 MiB is 64 MiB.
	Memory int64
}

// Evaluate evaluates one file. Whatever is wrong with the program is a Fault in the Output, a limit that it exceeds among
// it. An error means that ctx has ended, or that the process cannot be run.
func (c *Child) Evaluate(ctx context.Context, in Input) (Output, error) {
	outs, err := c.EvaluateAll(ctx, []string{in.Entry}, in.Files)
	if err != nil {
		return Output{}, err
	}
	return outs[0], nil
}

// EvaluateAll evaluates files, all of which may import the same files. The outputs are in the order of the entries. What
// one file does changes nothing for the others, but that all of them have one limit of time together.
func (c *Child) EvaluateAll(ctx context.Context, entries []string, files map[string]string) ([]Output, error) {
	jobs := make([]job, len(entries))
	for i, entry := range entries {
		jobs[i].Entry = entry
	}
	return c.all(ctx, jobs, files)
}

// Format returns a program with its spaces, quotes and commas in order. Its error is a *[Fault] where the text is no
// program.
func (c *Child) Format(ctx context.Context, name, text string) (string, error) {
	outs, err := c.all(ctx, []job{{Entry: name, Format: true}}, map[string]string{name: text})
	switch {
	case err != nil:
		return "", err
	case outs[0].Fault != nil:
		return "", outs[0].Fault
	}
	var formatted string
	if err := json.Unmarshal(outs[0].JSON, &formatted); err != nil {
		return "", fmt.Errorf("format %s: %w", name, err)
	}
	return formatted, nil
}

func (c *Child) all(ctx context.Context, jobs []job, files map[string]string) ([]Output, error) {
	total := cmp.Or(c.Total, defaultTotal)
	inTime, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	raw := make(map[string][]byte, len(files))
	for name, text := range files {
		raw[name] = []byte(text)
	}
	var p *process
	defer func() { p.end() }()
	outs := make([]Output, len(jobs))
	for i := 0; i < len(jobs); {
		fresh := p == nil
		if fresh && inTime.Err() == nil {
			var err error
			if p, err = c.start(inTime, raw); err != nil && inTime.Err() == nil {
				return nil, err
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case inTime.Err() != nil:
			outs[i] = c.faulty(jobs[i], fmt.Sprintf("the Jsonnet files take longer than %s together", total),
				"look for a program that does more than it has to; those with a problem of their own come first")
			i++
			continue
		}
		out, failed := p.ask(inTime, jobs[i], cmp.Or(c.Wall, defaultWall))
		if failed == nil {
			outs[i] = out
			i++
			continue
		}
		why := p.end()
		p = nil
		switch {
		case inTime.Err() != nil: // Said above.
		case !fresh && !errors.Is(failed, errWall):
			// What the files before left in the memory may be why. Alone, this one has all of it.
		default:
			outs[i] = c.ended(jobs[i], failed, why)
			i++
		}
	}
	return outs, nil
}

// faulty is the output of a program at no place in it.
func (c *Child) faulty(j job, summary, hint string) Output {
	return Output{Fault: &Fault{Place{File: j.Entry}, summary, hint}}
}

// ended says why a program made its process end.
func (c *Child) ended(j job, failed error, why end) Output {
	switch {
	case errors.Is(failed, errFrame):
		return c.faulty(j, "the program evaluates to more than can be read", "split it into several files")
	case errors.Is(failed, errWall), why.killed && why.cpu >= c.cpu():
		return c.faulty(j, fmt.Sprintf("the program takes longer than %s", cmp.Or(c.Wall, defaultWall)),
			"look for a function that calls itself without end, or for a very long list")
	case why.stack:
		return c.faulty(j, "calls or brackets are nested too deeply",
			"look for a function that calls itself without end, or for brackets within brackets")
	case why.memory, why.killed:
		return c.faulty(j, fmt.Sprintf("the program needs more than %d MiB of memory", c.memory()>>20),
			"look for a text or a list that grows without end")
	}
	return c.faulty(j, "the program ends the process that evaluates it: "+line(why.text), "write it in a simpler way")
}

// cpu is how much processor time a process may take, in whole seconds: more than its files may take on the wall, because
// the collector of memory runs beside them.
func (c *Child) cpu() time.Duration {
	return (2*cmp.Or(c.Total, defaultTotal) + 2*time.Second).Truncate(time.Second)
}

func (c *Child) memory() int64 { return max(cmp.Or(c.Memory, defaultMemory), minMemory) }

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr head
	// files are sent with the first job.
	files map[string][]byte
}

// start starts a child, and waits until its limits hold.
func (c *Child) start(ctx context.Context, files map[string][]byte) (*process, error) {
	if len(c.Command) == 0 {
		return nil, errors.New("evaluate Jsonnet: there is no command to start")
	}
	p := &process{cmd: exec.Command(c.Command[0], c.Command[1:]...), files: files}
	p.cmd.Env = []string{} // nil would be the parent's.
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = startLimit
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("evaluate Jsonnet: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("evaluate Jsonnet: %w", err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("evaluate Jsonnet: start %s: %w", c.Command[0], err)
	}
	if _, err := p.exchange(ctx, limits{uint64(c.memory()), uint64(c.cpu() / time.Second)}, startLimit); err != nil {
		why := p.end()
		return nil, fmt.Errorf("evaluate Jsonnet: %s does not become ready: %w %s", c.Command[0], err, line(why.text))
	}
	return p, nil
}

// ask has the child do a job. An error means that the child has to be ended.
func (p *process) ask(ctx context.Context, j job, wall time.Duration) (Output, error) {
	j.Files, p.files = p.files, nil
	return p.exchange(ctx, j, wall)
}

var errWall = errors.New("it takes too long")

// exchange writes a frame and reads the answer. Where that takes too long the child is killed, which ends both.
func (p *process) exchange(ctx context.Context, frame any, wall time.Duration) (Output, error) {
	var late atomic.Bool
	timer := time.AfterFunc(wall, func() {
		late.Store(true)
		_ = p.cmd.Process.Kill()
	})
	defer timer.Stop()
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	var out Output
	err := writeFrame(p.in, frame, maxToChild)
	if err == nil {
		err = readFrame(p.out, &out, maxFromChild)
	}
	if err != nil && late.Load() {
		return Output{}, errWall
	}
	return out, err
}

// end is how a child ended.
type end struct {
	killed, memory, stack bool
	cpu                   time.Duration
	// text is what it said, or its exit code.
	text string
}

// end kills the child, waits for it, and says how it ended. One whose output has ended has ended by itself, and stays what
// it was. A nil process is fine.
func (p *process) end() end {
	if p == nil {
		return end{}
	}
	killGroup(p.cmd)
	err := p.cmd.Wait()
	state, said := p.cmd.ProcessState, p.stderr.String()
	e := end{text: said, killed: killed(state), cpu: state.UserTime() + state.SystemTime()}
	if e.text == "" && err != nil {
		e.text = err.Error()
	}
	e.stack = strings.Contains(said, "stack overflow") || strings.Contains(said, "stack exceeds")
	e.memory = state.ExitCode() == exitMemory || slices.ContainsFunc([]string{"out of memory", "cannot allocate", "cannot map", "failed to allocate", "newosproc"},
		func(sign string) bool { return strings.Contains(said, sign) })
	return e
}

// head keeps the first bytes of what is written to it.
type head struct{ text []byte }

// maxHead is how many bytes are kept.
const maxHead = 4 << 10

func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(len(b), maxHead-len(h.text))]...)
	return len(b), nil
}

func (h *head) String() string { return strings.TrimSpace(string(h.text)) }
