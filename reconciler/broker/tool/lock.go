package tool

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec"
)

// newest is the lock of the newest revision.
type newest struct{ lock *spec.Lock }

// Accept makes the lock of the newest revision count beside that of the revision that a server is from: both were
// reviewed, and a run that is pinned to an older revision goes on once a newer one accepts what has changed. Nil is a
// revision without a lock, which accepts everything.
func (s *Servers) Accept(lock *spec.Lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = &newest{lock}
}

// Refused returns why the server was last refused, a [*spec.LockMismatch], or nil where it has been as its lock says
// since.
func (s *Servers) Refused(server *spec.ToolServer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[server.Digest]
}

// locked reports whether any lock says something of the server.
func (s *Servers) locked(server *spec.ToolServer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return server.LockFile != "" || s.newest != nil && s.newest.lock != nil
}

// verified asks a process for its tools, and refuses the server where they are not what is pinned: once no call
// uses it any more it is stopped, and the next use starts it anew and asks again.
func (s *Servers) verified(ctx context.Context, server *spec.ToolServer, p *process) (map[string]Schema, error) {
	schemas, lists, err := p.schemas(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, p.lastWords())
	}
	s.mu.Lock()
	now := passed{lists, s.newest}
	known := p.passed == now
	s.mu.Unlock()
	if known {
		return schemas, nil
	}
	err = check(server, now.newest, schemas)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		p.passed = now
		delete(s.refused, server.Digest)
		return schemas, nil
	}
	s.refused[server.Digest] = err
	if s.processes[server.Digest] == p {
		delete(s.processes, server.Digest)
		s.retired[p] = true
	}
	return nil, err
}

// passed is what a process's tools were found to be pinned as: those of its list n, by its own lock or the newest one.
type passed struct {
	lists  int
	newest *newest
}

// check compares what a server says of its tools with what is pinned.
func check(server *spec.ToolServer, newest *newest, schemas map[string]Schema) error {
	own := server.LockFile != ""
	if !own && newest == nil || newest != nil && newest.lock == nil {
		return nil
	}
	said := map[string]spec.ToolPin{}
	for _, name := range server.Pinned() {
		if schema, ok := schemas[name]; ok {
			pin, err := schema.Pin()
			if err != nil {
				return fmt.Errorf("what it says of %q cannot be compared with what is pinned: %w", name, err)
			}
			said[name] = pin
		}
	}
	var errs []error
	if own {
		if err := server.CheckPins(server.Pins, said); err == nil {
			return nil
		} else {
			errs = append(errs, err)
		}
	}
	if newest != nil {
		if pins, ok := newest.lock.Servers[server.Name]; ok || !own {
			if err := server.CheckPins(pins.Tools, said); err == nil {
				return nil
			} else {
				errs = append(errs, err)
			}
		}
	}
	return errs[len(errs)-1]
}

// IsMismatch reports whether an error says that something is not what its lock pins.
func IsMismatch(err error) bool {
	_, ok := errors.AsType[*spec.LockMismatch](err)
	return ok
}
