package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/plugins/loop"
)

// These make the test binary be mainstay. asMainstay switches it on; crashAt is the durable write or effect before which
// the process ends itself with SIGKILL, counted from 1; crashLog names a file that gets a line for each; and clockAhead
// moves the clock.
const (
	asMainstay = "MAINSTAY_TEST_MAIN"
	crashAt    = "MAINSTAY_TEST_CRASH_AT"
	crashLog   = "MAINSTAY_TEST_CRASH_LOG"
	clockAhead = "MAINSTAY_TEST_CLOCK_AHEAD"
)

func TestMain(m *testing.M) {
	// The test binary is also the agent's process, the example's tool server, and a mainstay that can be killed anywhere.
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == runtimeArg:
		loop.Serve()
		return
	case len(args) == 1 && args[0] == pdfArg:
		os.Exit(readPDF())
	case len(args) == 1 && args[0] == renderArg:
		os.Exit(renderManifests())
	case len(args) == 1 && args[0] == jsonnetArg:
		os.Exit(serveJsonnet())
	case len(args) == 2 && args[0] == "demo" && args[1] == "tools", os.Getenv(asMainstay) != "":
		env := environment{barrier: crashBarrier()}
		if ahead, err := time.ParseDuration(os.Getenv(clockAhead)); err == nil {
			env.now = func() time.Time { return time.Now().Add(ahead) }
		}
		os.Exit(runProcess(env))
	}
	// Stories wait more than they compute: for a daemon's next look, for an agent, for a disk.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(3 * runtime.GOMAXPROCS(0))); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if built.temp {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// crashBarrier counts what this process is about to write and kills it at the chosen one. A kill right after a write is
// a kill right before the next one, so only the points before count.
func crashBarrier() func(string) {
	at, err := strconv.Atoi(os.Getenv(crashAt))
	if err != nil {
		return nil
	}
	var mu sync.Mutex
	n := 0
	return func(point string) {
		if !strings.Contains(point, "before") {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		if path := os.Getenv(crashLog); path != "" {
			if f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				fmt.Fprintln(f, point)
				f.Close()
			}
		}
		if n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // The signal is on its way; nothing more may happen.
		}
	}
}
