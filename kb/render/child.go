package render

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/ingest/child"
)

// Child renders units in a process of its own.
type Child struct {
	// Command is the program and its arguments. It calls Serve.
	Command []string
	// Timeout is how long a unit may take. Default: 20s.
	Timeout time.Duration
}

const (
	defaultTimeout = 20 * time.Second
	maxAnswer      = 4 * maxText // It is written as JSON, with the lines that the text comes from.
)

// Session renders units, one at a time. It is for one goroutine.
type Session struct {
	asks    *child.Session
	timeout time.Duration
}

// Open returns a session, which has no process before the first unit. Close it.
func (c Child) Open() *Session {
	timeout := cmp.Or(c.Timeout, defaultTimeout)
	return &Session{child.Child{Command: c.Command, Timeout: timeout, MaxAnswer: maxAnswer}.Open(), timeout}
}

// Close ends the process.
func (s *Session) Close() { s.asks.Close() }

// Files reads what a unit may read, by the names of the files in the repository; nil where that is too much. The error is the tree's.
func (u *Unit) Files(t Tree) (map[string][]byte, error) {
	files := map[string][]byte{}
	size := 0
	for _, f := range u.files {
		if _, ok := files[f.path]; ok {
			continue
		}
		content, err := t.ReadFile(f.path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.path, err)
		}
		if size += len(content); size > maxBytes {
			return nil, nil
		}
		files[f.path] = content
	}
	return files, nil
}

// Render renders a unit from its files. Whatever is wrong with it is in the output. The error is that of a process that cannot be started;
// whatever ends ctx is returned as it is.
func (s *Session) Render(ctx context.Context, u *Unit, files map[string][]byte) (Output, error) {
	if u.problem != "" {
		return Output{Problems: []string{u.problem}}, nil
	}
	if files == nil {
		return Output{Problems: []string{fmt.Sprintf("it is not rendered, since it reads more than %d MiB", maxBytes>>20)}}, nil
	}
	r := request{Kind: u.kind, Head: u.Head, Files: map[string][]byte{}}
	if u.kind == helm {
		r.Head = "Chart.yaml"
	}
	for name, f := range u.files {
		r.Files[name] = files[f.path]
	}
	asked, err := json.Marshal(r)
	if err != nil {
		return Output{}, err
	}
	text, err := s.asks.Ask(ctx, asked)
	switch {
	case ctx.Err() != nil:
		return Output{}, context.Cause(ctx)
	case errors.Is(err, child.ErrTimeout):
		return Output{Problems: []string{fmt.Sprintf("rendering it takes longer than %s: look for a template that loops or includes itself", s.timeout)}}, nil
	case errors.Is(err, child.ErrTooLong):
		return Output{Problems: []string{fmt.Sprintf("it renders to more than %d MiB", maxText>>20)}}, nil
	case errors.Is(err, child.ErrEnded):
		return Output{Problems: []string{"rendering it needs more memory or time than there is: look for a template that loops or includes itself"}}, nil
	case err != nil:
		return Output{}, fmt.Errorf("start the process that renders charts: %w", err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		return Output{}, fmt.Errorf("the process that renders charts answered something else: %w", err)
	}
	o := Output{Objects: map[string][]kb.Rendered{}, Problems: a.Problems, Lacks: a.Lacks}
	for _, name := range slices.Sorted(maps.Keys(a.Objects)) {
		at := u.Head
		if f, ok := u.files[name]; ok && slices.Contains(u.Shapes, f.path) {
			at = f.path
		}
		objects := a.Objects[name]
		if at == u.Head && name != r.Head {
			for i := range objects { // It is of another chart, in which the lines are.
				objects[i].From += ", of " + u.files[name].path
				objects[i].First, objects[i].Last, objects[i].Lines = 1, len(linesOf(files[u.Head])), nil
			}
		}
		o.Objects[at] = append(o.Objects[at], objects...)
	}
	return o, nil
}
