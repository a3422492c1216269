package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxAsked bounds how many tool servers and models are asked at once.
const maxAsked = 8

// Locking is what [MakeLock] needs.
type Locking struct {
	// Fleet is what is declared, loaded without its lock.
	Fleet *spec.Fleet
	// Old is the lock that there is, or nil.
	Old *spec.Lock
	// Wanted reports whether a ToolServer, Model or Runtime is asked. What is not keeps its old pins, as all else in the old lock
	// does; nil asks all, and forgets what is not declared.
	Wanted func(spec.Ref) bool
	Tools  *tool.Servers
	Models model.Providers
	// Runtime returns the digest of a runtime's executable on Platform.
	Runtime  func(name string) (spec.Digest, error)
	Platform string
}

// MakeLock starts every tool server and asks what it says of its tools, asks for the digests of models, and reads the
// runtimes that do not come with Mainstay; what is pinned of those for other platforms stays. What could not
// be asked keeps its old pins, and is in the errors, sorted. Left are the servers that this version cannot ask.
func MakeLock(ctx context.Context, l Locking) (lock *spec.Lock, left []spec.Ref, errs []error) {
	lock = spec.NewLock("")
	if l.Wanted != nil && l.Old != nil {
		maps.Copy(lock.Models, l.Old.Models)
		maps.Copy(lock.Runtimes, l.Old.Runtimes)
		maps.Copy(lock.Servers, l.Old.Servers)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	places := make(chan struct{}, maxAsked)
	ask := func(ref spec.Ref, keep func(), do func() (func(), error)) {
		if l.Wanted != nil && !l.Wanted(ref) {
			return
		}
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			take, err := do()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				take = keep
			}
			take()
		})
	}
	for name, m := range l.Fleet.Models {
		if !m.Pinned() {
			continue
		}
		ask(m.Ref, func() {
			if pin, ok := l.Old.Model(name); ok {
				lock.Models[name] = pin
			}
		}, func() (func(), error) {
			digest, err := l.Models.Digest(ctx, m)
			return func() { lock.Models[name] = spec.ModelPin{Digest: digest} }, err
		})
	}
	named := map[string]bool{spec.DefaultRuntime: true}
	for _, agent := range l.Fleet.Agents {
		name := agent.Runtime
		if named[name] {
			continue
		}
		named[name] = true
		keep := func() {
			if pin := l.Old.Runtime(name); len(pin) > 0 {
				lock.Runtimes[name] = pin
			}
		}
		ask(spec.Ref{Kind: spec.KindRuntime, Name: name}, keep, func() (func(), error) {
			digest, err := l.Runtime(name)
			return func() {
				pin := spec.RuntimePin{}
				maps.Copy(pin, l.Old.Runtime(name))
				pin[l.Platform] = digest
				lock.Runtimes[name] = pin
			}, err
		})
	}
	for name, server := range l.Fleet.Servers {
		names := server.Pinned()
		if len(names) == 0 {
			continue
		}
		if len(server.Spec.Command) == 0 {
			left = append(left, server.Ref)
			continue
		}
		ask(server.Ref, func() {
			if pins := l.Old.Tools(name, names); len(pins) > 0 {
				lock.Servers[name] = spec.ServerPin{Tools: pins}
			}
		}, func() (func(), error) {
			pins, err := askTools(ctx, l.Tools, server, names)
			return func() { lock.Servers[name] = spec.ServerPin{Tools: pins} }, err
		})
	}
	wg.Wait()
	slices.SortFunc(left, func(a, b spec.Ref) int { return cmp.Compare(a.String(), b.String()) })
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return lock, left, errs
}

// askTools starts a server, asks it, and stops it.
func askTools(ctx context.Context, tools *tool.Servers, server *spec.ToolServer, names []string) (map[string]spec.ToolPin, error) {
	schemas, err := tools.Schemas(ctx, server)
	tools.StopIdle(time.Unix(1<<40, 0)) // However recently it was used: a fleet may have more servers than may run at once.
	if err != nil {
		return nil, err
	}
	pins := map[string]spec.ToolPin{}
	var errs []error
	for _, name := range names {
		schema, ok := schemas[name]
		if !ok {
			errs = append(errs, fmt.Errorf("%s declares the tool %q, which the server does not have: take it out, or mend the server", server.Place.File, name))
			continue
		}
		if pins[name], err = schema.Pin(); err != nil {
			errs = append(errs, fmt.Errorf("tool server %s: what it says of %q cannot be pinned: %w", server.Name, name, err))
		}
	}
	return pins, errors.Join(errs...)
}
