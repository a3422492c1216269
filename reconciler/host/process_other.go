//go:build !linux

package host

import (
	"fmt"
	"os"
	"os/exec"
)

// launch starts a process. There are no walls on this system but the floor.
func launch(prog program) (*process, error) {
	if prog.require != 0 {
		return nil, &MissingError{Required: prog.require, Missing: prog.require}
	}
	if len(prog.exec) > 0 {
		return nil, &MissingError{Exec: true, Missing: Landlock | Seccomp}
	}
	theirs, ours, err := pipes()
	if err != nil {
		return nil, err
	}
	defer closeAll(theirs[:]...)
	cmd := exec.Command(prog.path, prog.args...)
	cmd.Dir, cmd.Env = prog.dir, prog.env
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	if err := cmd.Start(); err != nil {
		closeAll(ours[:]...)
		return nil, fmt.Errorf("execute %s: %w", prog.path, err)
	}
	p := &process{pid: cmd.Process.Pid, stdout: ours[0], stderr: ours[1], exited: make(chan struct{})}
	go func() {
		state, _ := cmd.Process.Wait()
		p.mu.Lock()
		p.reaped = true
		p.code = state.ExitCode()
		if p.code < 0 {
			p.signal = state.String()
		}
		p.mu.Unlock()
		close(p.exited)
		p.unblock()
	}()
	return p, nil
}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		// An error means that the process is gone.
		_ = p.Kill()
	}
}

// Harden keeps other processes of the same user from reading this process's memory, where the system can.
func Harden() error { return nil }
