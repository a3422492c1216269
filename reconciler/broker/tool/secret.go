package tool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// given is what a process gets of its server's variables.
type given struct {
	// env has one NAME=value for each.
	env []string
	// secrets are the values that were resolved from references.
	secrets []string
	// order tells which of two resolutions began later.
	order int
}

// resolve reads the variables of a server, with its secrets as they are now.
func (s *Servers) resolve(ctx context.Context, server *spec.ToolServer) (given, error) {
	s.mu.Lock()
	s.resolved++
	g := given{order: s.resolved}
	s.mu.Unlock()
	for _, v := range server.Spec.Env {
		value := v.Value
		if v.From != nil {
			resolved, err := s.opts.Secret(ctx, *v.From)
			if err != nil {
				return given{}, fmt.Errorf("variable %s of tool server %s: %w", v.Name, server.Name, err)
			}
			value = resolved.Reveal()
			if strings.ContainsRune(value, 0) {
				return given{}, fmt.Errorf("variable %s of tool server %s: %s holds a NUL byte, which no variable can", v.Name, server.Name, v.From)
			}
			if len(v.Name)+len("=")+len(value) >= maxVariable {
				return given{}, fmt.Errorf("variable %s of tool server %s: %s is too long for a variable, which holds at most %d KiB with its name: let the server read it from a file", v.Name, server.Name, v.From, maxVariable>>10)
			}
			g.secrets = append(g.secrets, value)
		}
		g.env = append(g.env, v.Name+"="+value)
	}
	return g, nil
}

// current returns the running process of a server, or nil where one must be started: there is none, or its secrets are no
// longer those that are given. One whose secrets cannot be read again goes on with those it has. s.mu is held.
func (s *Servers) current(server *spec.ToolServer, given given, unresolved error) *process {
	p := s.processes[server.Digest]
	switch {
	case p == nil:
	case p.ended():
		delete(s.processes, server.Digest)
		s.end(p)
		p = nil
	case unresolved != nil, given.order < p.given.order: // A later resolution was faster.
	case slices.Equal(given.env, p.given.env):
		p.given.order = given.order
	default:
		s.opts.Logger.Info("a secret has changed: the tool server is started anew for the next call", "server", server.Name)
		delete(s.processes, server.Digest)
		if p.users > 0 {
			s.retired[p] = true
		} else {
			s.end(p)
		}
		p = nil
	}
	return p
}

// CheckSecrets looks at the secrets of a server without using them, and returns what is wrong with them. A server that runs
// goes on all the same, with those it was started with.
func (s *Servers) CheckSecrets(ctx context.Context, server *spec.ToolServer) (runs bool, err error) {
	if !slices.ContainsFunc(server.Spec.Env, func(v spec.EnvVar) bool { return v.From != nil }) {
		return false, nil
	}
	_, err = s.resolve(ctx, server)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[server.Digest]
	return p != nil && !p.ended(), err
}
