package pdf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Child reads files in processes of its own. Its methods are safe for concurrent use.
type Child struct {
	// Command is the program and its arguments. It calls Serve.
	Command []string
	// Timeout is how long a file may take. Default: 30s.
	Timeout time.Duration
}

// Limits of a child.
const (
	defaultTimeout = 30 * time.Second
	maxMemory      = 1 << 30 // bytes
	maxProcessor   = 60      // seconds
	maxAnswer      = 3 * MaxText
)

// answer is what a child writes.
type answer struct {
	document
	Error string `json:",omitempty"`
}

// Serve is the child: it reads one file from in, and writes its text to out.
func Serve(in io.Reader, out io.Writer) error {
	if err := limitProcess(); err != nil {
		return err
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var a answer
	if a.document, err = read(content); err != nil {
		a.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(a)
}

// Read reads a file: its title, and the lines of each page with an empty one between paragraphs. The error says what is wrong with it;
// whatever ends ctx is returned as it is.
func (c Child) Read(ctx context.Context, content []byte) (title string, pages [][]string, err error) {
	d, err := c.read(ctx, content)
	return d.Title, d.Pages, err
}

func (c Child) read(ctx context.Context, content []byte) (document, error) {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, c.Command[0], c.Command[1:]...)
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	cmd.Stdin = bytes.NewReader(content)
	out := &bounded{most: maxAnswer}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return document{}, context.Cause(ctx)
	case limited.Err() != nil:
		return document{}, fmt.Errorf("reading it took longer than %s", timeout)
	case out.over:
		return document{}, errors.New("it has too much text")
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return document{}, errors.New("its parser ran out of memory or time, or failed")
	}
	if err != nil {
		return document{}, fmt.Errorf("start the process that reads PDFs: %w", err)
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return document{}, fmt.Errorf("the process that reads PDFs answered something else: %w", err)
	}
	if a.Error != "" {
		return document{}, errors.New(strings.ToValidUTF8(a.Error, "\ufffd"))
	}
	return a.document, nil
}

// bounded keeps what is written up to a length.
type bounded struct {
	bytes.Buffer
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		b.over = true
		return 0, errors.New("too long")
	}
	return b.Buffer.Write(p)
}
