package pdf

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/kb/ingest/child"
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
	maxAnswer      = 3 * MaxText
)

// answer is what a child writes.
type answer struct {
	document
	Error string `json:",omitempty"`
}

// Serve is the child: it reads files from in, and writes their texts to out.
func Serve(in io.Reader, out io.Writer) error {
	return child.Serve(in, out, func(content []byte) []byte {
		var a answer
		var err error
		if a.document, err = read(content); err != nil {
			a.Error = err.Error()
		}
		text, err := json.Marshal(a)
		if err != nil {
			panic(err) // Only texts are in it.
		}
		return text
	})
}

// Read reads a file: its title, and the lines of each page with an empty one between paragraphs. The error says what is wrong with it;
// whatever ends ctx is returned as it is.
func (c Child) Read(ctx context.Context, content []byte) (title string, pages [][]string, err error) {
	d, err := c.read(ctx, content)
	return d.Title, d.Pages, err
}

func (c Child) read(ctx context.Context, content []byte) (document, error) {
	timeout := cmp.Or(c.Timeout, defaultTimeout)
	s := child.Child{Command: c.Command, Timeout: timeout, MaxAnswer: maxAnswer}.Open()
	defer s.Close()
	text, err := s.Ask(ctx, content)
	switch {
	case ctx.Err() != nil:
		return document{}, context.Cause(ctx)
	case errors.Is(err, child.ErrTimeout):
		return document{}, fmt.Errorf("reading it took longer than %s", timeout)
	case errors.Is(err, child.ErrTooLong):
		return document{}, errors.New("it has too much text")
	case errors.Is(err, child.ErrEnded):
		return document{}, errors.New("its parser ran out of memory or time, or failed")
	case err != nil:
		return document{}, fmt.Errorf("start the process that reads PDFs: %w", err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return document{}, fmt.Errorf("the process that reads PDFs answered something else: %w", err)
	}
	if a.Error != "" {
		return document{}, errors.New(strings.ToValidUTF8(a.Error, "\ufffd"))
	}
	return a.document, nil
}
