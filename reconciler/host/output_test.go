package host

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestOutputIsBounded(t *testing.T) {
	var lines []string
	var slept time.Duration
	o := &output{
		log:   func(line string) { lines = append(lines, line) },
		sleep: func(_ context.Context, d time.Duration) error { slept += d; return nil },
	}
	write := func(text string) {
		if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	write("first\nsecond \x1b[2J")
	write(" third\n" + strings.Repeat("x", 3*maxLine) + "\n")
	if len(lines) != 3 || lines[0] != "first" || lines[1] != "second \uFFFD[2J third" || len(lines[2]) != maxLine {
		t.Errorf("lines %.100q", lines)
	}
	for range 2 * maxLines {
		write("more\n")
	}
	if len(lines) != maxLines {
		t.Errorf("%d lines were logged, want %d", len(lines), maxLines)
	}
	if slept != 0 {
		t.Errorf("slept %s before there was much output", slept)
	}
	for range 256 {
		write(strings.Repeat("y", 32<<10))
	}
	if slept < time.Second || slept > 2*time.Second {
		t.Errorf("slept %s for 4 MiB too much", slept)
	}
	if words := o.words(); len(words) != maxTail {
		t.Errorf("the last words have %d bytes, want %d", len(words), maxTail)
	}
}

// Last words that lie in the pipe are read, however long the host took to look, and nobody who holds the other end is waited for.
func TestLastWordsAreReadLate(t *testing.T) {
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := to.WriteString("out of luck\n"); err != nil {
		t.Fatal(err)
	}
	if err := from.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	r := &runner{out: &output{log: func(string) {}}}
	r.read(from)
	if got := r.out.words(); got != "out of luck" {
		t.Errorf("the last words are %q", got)
	}
}
