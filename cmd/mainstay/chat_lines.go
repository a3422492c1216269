package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxTyped bounds a line of a pipe, in bytes. A thread takes less.
const maxTyped = 1 << 20

// newLines reads what a person says: from a terminal with a prompt and a history, and else line by line.
func newLines(in io.Reader, out io.Writer) lines {
	if f, ok := in.(*os.File); ok && isTerminal(in) && isTerminal(out) {
		t := &terminal{in: f, out: out}
		t.renew(nil)
		return t
	}
	p := &piped{read: make(chan typed)}
	go p.scan(in)
	return p
}

type typed struct {
	text string
	err  error
}

// piped are the lines of a pipe or file.
type piped struct{ read chan typed }

func (p *piped) scan(in io.Reader) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxTyped)
	for scanner.Scan() {
		p.read <- typed{text: scanner.Text()}
	}
	err := scanner.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("a line has more than %d bytes", maxTyped)
	case err == nil:
		err = io.EOF
	}
	for {
		p.read <- typed{err: err}
	}
}

func (p *piped) Read(signals <-chan os.Signal) (string, error) {
	select {
	case l := <-p.read:
		return l.text, l.err
	case <-signals:
		return "", io.EOF
	}
}

// terminal is a person's terminal. It is in raw mode only while the person types.
type terminal struct {
	in     *os.File
	out    io.Writer
	editor *term.Terminal
	keys   *keys
}

// keys is the keyboard. It notes Ctrl-C, which the editor does not tell from Ctrl-D.
type keys struct {
	io.Reader
	io.Writer
	interrupted bool
}

func (k *keys) Read(b []byte) (int, error) {
	n, err := k.Reader.Read(b)
	const ctrlC = 3
	k.interrupted = bytes.IndexByte(b[:n], ctrlC) >= 0
	return n, err
}

// renew makes another editor with the same history: one that was left with Ctrl-C would read it again.
func (t *terminal) renew(history term.History) {
	t.keys = &keys{Reader: t.in, Writer: t.out}
	t.editor = term.NewTerminal(t.keys, "> ")
	if history != nil {
		t.editor.History = history
	}
}

func (t *terminal) Read(signals <-chan os.Signal) (string, error) {
	for hinted := false; ; hinted = true {
		text, err := t.edit(signals)
		if !errors.Is(err, io.EOF) || !t.keys.interrupted {
			if errors.Is(err, io.EOF) {
				fmt.Fprintln(t.out)
			}
			return text, err
		}
		t.renew(t.editor.History)
		if hinted {
			fmt.Fprintln(t.out)
			return "", io.EOF
		}
		fmt.Fprintln(t.out, "\n(Ctrl-C again, Ctrl-D or /exit leaves)")
	}
}

// edit reads one message. Lines that are pasted together are one.
func (t *terminal) edit(signals <-chan os.Signal) (string, error) {
	was, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(int(t.in.Fd()), was) }() // The terminal is gone if this fails.
	t.editor.SetBracketedPasteMode(true)
	defer t.editor.SetBracketedPasteMode(false)
	if width, height, err := term.GetSize(int(t.in.Fd())); err == nil && width > 0 && height > 0 {
		_ = t.editor.SetSize(width, height) // Else lines break in the wrong place.
	}
	read := make(chan typed, 1)
	go func() {
		var pasted []string
		for {
			text, err := t.editor.ReadLine()
			if errors.Is(err, term.ErrPasteIndicator) {
				pasted = append(pasted, text)
				continue
			}
			read <- typed{strings.Join(append(pasted, text), "\n"), err}
			return
		}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-signals:
		return "", io.EOF
	}
}
