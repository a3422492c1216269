package jsonnet

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// exitMemory is the exit code of a child that needed more memory than it was given.
	exitMemory = 76
	// childStack is how large the stack of a goroutine of the child may become, in bytes. The parser needs it for brackets
	// within brackets.
	childStack = 64 << 20
	// memoryInterval is how often the child looks at its memory.
	memoryInterval = 10 * time.Millisecond
)

// ServeChild is the whole of the process that [Child] starts: it takes limits on, and then evaluates one program after the
// other until stdin ends. It changes limits of the process that it runs in, and ends that process where a program needs too
// much, so nothing else may run there.
func ServeChild(stdin io.Reader, stdout io.Writer) error {
	in, out := bufio.NewReader(stdin), bufio.NewWriter(stdout)
	answer := func(o Output) error {
		err := writeFrame(out, o, maxFromChild)
		if errors.Is(err, errFrame) { // Very long names make very long pointers.
			o.Places, o.Keys = map[string]Place{"": o.Places[""]}, nil
			err = writeFrame(out, o, maxFromChild)
		}
		if err != nil {
			return err
		}
		return out.Flush()
	}
	var l limits
	if err := readFrame(in, &l, maxToChild); err != nil {
		return fmt.Errorf("read the limits: %w", err)
	}
	debug.SetMaxStack(childStack)
	debug.SetTraceback("none")
	if err := limitProcess(l); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go watchMemory(l.Memory, done)
	if err := answer(Output{}); err != nil {
		return err
	}
	files := map[string]string{}
	for {
		var j job
		switch err := readFrame(in, &j, maxToChild); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read a program: %w", err)
		}
		if j.Files != nil {
			files = make(map[string]string, len(j.Files))
			for name, text := range j.Files {
				files[name] = string(text)
			}
		}
		if err := answer(do(j, files)); err != nil {
			return err
		}
	}
}

func do(j job, files map[string]string) Output {
	if !j.Format {
		return Evaluate(Input{j.Entry, files})
	}
	text, err := Format(j.Entry, files[j.Entry])
	var fault *Fault
	if errors.As(err, &fault) {
		return Output{Fault: fault}
	}
	raw, _ := json.Marshal(text) // A string cannot fail.
	return Output{JSON: raw}
}

// watchMemory ends the process when it holds more memory than it may. Where the system has a limit of its own, that one is
// the wall and this only ends in better order; elsewhere there is nothing else.
func watchMemory(most uint64, done <-chan struct{}) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		if samples[0].Value.Uint64()-samples[1].Value.Uint64() > most {
			os.Exit(exitMemory)
		}
	}
}
