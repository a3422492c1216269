package secret

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// patient reads files that may never answer, such as one on a server that is gone. Nothing can end such a read, so that it
// is left behind: one for each path at most.
type patient struct {
	mu   sync.Mutex
	busy map[string]*reading
}

// reading is a read that goes on. Who waits for its place reads anew, since it may have begun before the file changed.
type reading struct {
	done chan struct{}
	// late says that somebody has waited in vain. Nobody else does, then.
	late bool
}

// read calls read with the path, and waits until it returns, ctx ends, or patience is over.
func (p *patient) read(ctx context.Context, path string, patience time.Duration, read func(path string) (string, error)) (string, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var text string
	var err error
	for mine := false; !mine; {
		p.mu.Lock()
		on := p.busy[path]
		switch {
		case on == nil:
			mine = true
			on = &reading{done: make(chan struct{})}
			if p.busy == nil {
				p.busy = map[string]*reading{}
			}
			p.busy[path] = on
			go func() {
				defer close(on.done)
				text, err = read(path)
				p.mu.Lock()
				delete(p.busy, path)
				p.mu.Unlock()
			}()
		case on.late:
			p.mu.Unlock()
			return "", tooSlow(patience)
		}
		p.mu.Unlock()
		select {
		case <-on.done:
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timer.C:
			p.mu.Lock()
			on.late = true
			p.mu.Unlock()
			return "", tooSlow(patience)
		}
	}
	return text, err
}

// tooSlow is the error for a file that does not answer.
func tooSlow(patience time.Duration) error {
	return fmt.Errorf("reading it does not end within %s: it waits for something, or is on a server that does not answer; name a file that can be read at once", patience)
}
