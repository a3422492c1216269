package host

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	// maxLine is the longest line of a process's output that is logged, in bytes. Longer ones are cut.
	maxLine = 4 << 10
	// maxLines is how many lines of one process are logged.
	maxLines = 1000
	// maxTail is how much of the end of a process's output is kept for its last words, in bytes.
	maxTail = 4 << 10
	// Beyond freeOutput bytes a process's output is read at no more than slowOutput bytes each slowPause.
	freeOutput = 4 << 20
	slowOutput = 32 << 10
	slowPause  = 10 * time.Millisecond
)

// output takes what a process prints: it keeps the end, logs lines, and slows down a process that floods.
type output struct {
	log   func(line string)
	sleep func(context.Context, time.Duration) error

	mu    sync.Mutex
	tail  []byte
	line  []byte
	lines int
	total int
}

// Write never fails, so that a process never blocks on a host that does not care.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	before := o.total
	o.total += len(b)
	pauses := 0
	if o.total > freeOutput {
		pauses = o.total/slowOutput - max(before, freeOutput)/slowOutput
	}
	o.tail = append(o.tail, b...)
	if extra := len(o.tail) - maxTail; extra > 0 {
		o.tail = append(o.tail[:0], o.tail[extra:]...)
	}
	o.split(b)
	o.mu.Unlock()
	if pauses > 0 {
		_ = o.sleep(context.Background(), time.Duration(pauses)*slowPause)
	}
	return len(b), nil
}

func (o *output) split(b []byte) {
	for len(b) > 0 && o.lines < maxLines {
		piece, rest, ended := bytes.Cut(b, []byte("\n"))
		o.line = append(o.line, piece[:min(len(piece), maxLine-len(o.line))]...)
		if ended {
			o.lines++
			o.log(printable(string(o.line)))
			o.line = o.line[:0]
		}
		b = rest
	}
}

// words are the last that the process printed, without what could move a terminal's cursor.
func (o *output) words() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(printable(string(o.tail)))
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
