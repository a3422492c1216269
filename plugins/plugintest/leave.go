package plugintest

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
)

// leaveChecks are about the process's output and end.
var leaveChecks = []check{
	{
		"output", "prints little, and no line over 64 KiB",
		"stdout belongs to the handshake: log to stderr, or with Log messages. Nobody reads a flood, and the host slows down whoever prints one.", printsLittle,
	}, {
		"shutdown", "leaves within two seconds when the host's Shutdown comes, also with runs open",
		"Serve go-plugin's /plugin.GRPCController/Shutdown: answer, and exit.", shutsDown,
	}, {
		"sigterm", "leaves within two seconds of SIGTERM, also with runs open",
		"Do not ignore SIGTERM; there is nothing to save.", terminates,
	},
}

// The most that a process may print during the suite, and the longest line, in bytes.
const (
	maxPrinted = 4 << 20
	maxLine    = 64 << 10
)

func printsLittle(t *trial) {
	on := t.process()
	t.script("run", inOrder, scriptedAnswers)
	t.saysHello("run-1")
	on.out.mu.Lock()
	stdout, longest := on.out.stdout, on.out.longest
	on.out.mu.Unlock()
	on.out.stderr.mu.Lock()
	stderr := on.out.stderr.total
	on.out.stderr.mu.Unlock()
	if longest > maxLine {
		t.fail("lines of at most 64 KiB on stdout", "one of %d bytes", longest)
	}
	if stdout+stderr > maxPrinted {
		t.fail("at most 4 MiB of output", "%d bytes on stdout and %d on stderr", stdout, stderr)
	}
}

// leaves checks that the process ends after ask, while a run is open.
func (t *trial) leaves(ask func(*process) error) {
	p := t.begin("run", "Say hello.")
	defer p.cut()
	var asked plugins.ModelRequest
	p.asks(plugins.KindModel, &asked)
	on := t.process()
	const expected = "the end of the process within 2s"
	if err := ask(on); err != nil {
		t.fail("to be asked to leave", "%s", on.why(err))
	}
	select {
	case <-on.exited:
		on.kill() // Its folder is left.
	case <-time.After(leaveTime):
		t.fail(expected, "a process that is still there")
	case <-t.ctx.Done():
		return
	}
	t.suite.stop()
}

func shutsDown(t *trial) {
	t.leaves(func(on *process) error {
		ctx, cancel := context.WithTimeout(t.ctx, leaveTime)
		defer cancel()
		// The answer may be lost with the process, but a runtime that does not know the method says so.
		err := on.shutDown(ctx)
		select {
		case <-on.exited:
			return nil
		case <-time.After(leaveTime):
			return err
		}
	})
}

func terminates(t *trial) {
	t.leaves(func(on *process) error {
		if err := on.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return on.cmd.Process.Signal(os.Kill) // There are no signals here.
		}
		return nil
	})
}
