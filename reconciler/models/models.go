// Package models keeps the models that a fleet declares on its Ollama servers: what is missing is pulled, or created from a file,
// and what is there is compared with what is declared. It works beside whoever asks it, and says for every model how far it is.
//
// It replaces no model but one that it has made itself, of a file that is another one now. It deletes none but those that it has
// pulled or made itself, where the fleet says so and nothing names them any more.
package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// The reasons of a [State], as they stand in conditions.
const (
	// Present is a model that is there, and as it is declared.
	Present = "Present"
	// Checking, Pulling and Creating are under way.
	Checking = "Checking"
	Pulling  = "Pulling"
	Creating = "Creating"
	// ServerUnavailable is a server that cannot be reached, or fails.
	ServerUnavailable = "ServerUnavailable"
	// ModelMissing is a model that the server does not have, and nobody may give it.
	ModelMissing = "ModelMissing"
	// PullFailed and CreateFailed are a model that could not be had.
	PullFailed   = "PullFailed"
	CreateFailed = "CreateFailed"
	// DigestMismatch is another model than the one that is declared.
	DigestMismatch = "DigestMismatch"
	// NoTools is a model that cannot call tools, of an agent that has some.
	NoTools = "NoTools"
	// ContextOverflow is a model that reads less than its parameters, or a conversation, ask of it.
	ContextOverflow = "ContextOverflow"
	// OutOfMemory is a server that has no room for the model.
	OutOfMemory = "OutOfMemory"
)

// State says how a model is doing.
type State struct {
	Reason string
	// Message is one sentence, which says what to do where something is wrong.
	Message string
	// Percent is how much is there while the model is pulled.
	Percent int
	// Digest is what the server has; "" where that is not known.
	Digest spec.Digest
	// Made says that it is one that Mainstay itself has got, and may delete once nothing names it.
	Made bool
}

// Working reports whether the state ends by itself.
func (s State) Working() bool {
	return s.Reason == Checking || s.Reason == Pulling || s.Reason == Creating
}

// The time after which something is looked at again.
const (
	// recheck is for a model that is there.
	recheck = time.Minute
	// relook is for a server that cannot be reached: whoever starts it wants to see that it is found.
	relook = 2 * time.Second
	// retry is for one that could not be pulled or created, doubled each time up to maxRetry.
	retry    = 15 * time.Second
	maxRetry = 10 * time.Minute
)

// patience bounds a question to a server that needs no more than to look.
const patience = 5 * time.Second

// Options are what [New] needs. All fields are required, but for Changed.
type Options struct {
	Models model.Providers
	// Memory remembers which models were got here.
	Memory Memory
	Now    func() time.Time
	// Used returns the revisions that runs which have not ended are pinned to. Nothing is deleted without it, or where it fails.
	Used func(ctx context.Context) ([]*spec.Fleet, error)
	// Pruned is called when a model that nothing names any more was deleted from its server, or cannot be; text says which. May be nil.
	Pruned func(m *spec.Model, text string, err error)
	// Changed is called when the reason of a model's state is another one, or it has come ten percent further. A state that
	// is only looked at again is not told. May be nil.
	Changed func(m *spec.Model, s State)
}

// Memory remembers the models that were pulled or made of a file here, by server and name: only such a one is replaced or deleted.
type Memory interface {
	// Made returns the digest of the model that was got under the name of m on its server, or "".
	Made(ctx context.Context, m *spec.Model) (spec.Digest, error)
	// Remember keeps it, and what is needed to ask the server of it once m is not declared any more.
	Remember(ctx context.Context, m *spec.Model, digest spec.Digest) error
	// All returns all that is remembered, with the digests as pins ([spec.Model.Pin]).
	All(ctx context.Context) ([]*spec.Model, error)
	// Forget forgets one.
	Forget(ctx context.Context, m *spec.Model) error
}

// Forgetful is a Memory that remembers nothing: no model is replaced or deleted.
type Forgetful struct{}

// Made returns "".
func (Forgetful) Made(context.Context, *spec.Model) (spec.Digest, error) { return "", nil }

// Remember does nothing.
func (Forgetful) Remember(context.Context, *spec.Model, spec.Digest) error { return nil }

// All returns none.
func (Forgetful) All(context.Context) ([]*spec.Model, error) { return nil, nil }

// Forget does nothing.
func (Forgetful) Forget(context.Context, *spec.Model) error { return nil }

// Keeper keeps models. It is safe for concurrent use.
type Keeper struct {
	opts Options

	mu   sync.Mutex
	kept map[spec.Ref]*kept
	// users are those of fleet; see usersWithTools.
	fleet *spec.Fleet
	users map[string]spec.AgentName
	works sync.WaitGroup
	prune pruning
}

// kept is one model, and the work on it.
type kept struct {
	model *spec.Model
	want  want
	state State
	// failed is what the newest question to the model has met, where that is no fault of the question.
	failed *State
	cancel context.CancelFunc
	// done is closed when the work is, and awaits is the one that this one's work waits for.
	done   chan struct{}
	awaits *kept
	// working is true while a goroutine is at it, which alone changes the rest.
	working  bool
	pulled   bool // since it was declared
	next     time.Time
	failures int
}

// want is what else is expected of a model.
type want struct {
	revision spec.Revision
	files    fs.FS
	// tools names an agent that has tools; "" is none.
	tools spec.AgentName
}

// New returns a Keeper.
func New(opts Options) *Keeper {
	if opts.Changed == nil {
		opts.Changed = func(*spec.Model, State) {}
	}
	if opts.Pruned == nil {
		opts.Pruned = func(*spec.Model, string, error) {}
	}
	return &Keeper{opts: opts, kept: map[spec.Ref]*kept{}}
}

// Keep looks at the models of provider ollama that a fleet declares, where it is time to, and returns at once. What it begins ends
// with ctx. Work on what is not declared any more is given up. files is the folder of
// mainstay.yaml at the revision.
func (k *Keeper) Keep(ctx context.Context, fleet *spec.Fleet, revision spec.Revision, files fs.FS) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fleet != fleet {
		k.fleet, k.users = fleet, usersWithTools(fleet)
		k.prune.next = time.Time{}
	}
	for ref, one := range k.kept {
		m := fleet.Models[ref.Name]
		if m == nil || m.Digest != one.model.Digest || m.Spec.Source != nil && m.Spec.Source.File != "" && revision != one.want.revision {
			one.cancel()
			delete(k.kept, ref)
		}
	}
	for _, m := range fleet.Models {
		if m.Spec.Provider != spec.ProviderOllama {
			continue
		}
		one := k.kept[m.Ref]
		if one == nil {
			one = &kept{state: State{Reason: Checking, Message: "it has not been looked at yet"}}
			k.kept[m.Ref] = one
		}
		one.want = want{revision, files, k.users[m.Name]}
		if one.working || k.opts.Now().Before(one.next) {
			continue
		}
		one.model, one.working = m, true
		var its context.Context
		its, one.cancel = context.WithCancel(ctx)
		one.done = make(chan struct{})
		j := &job{models: k.opts.Models, memory: k.opts.Memory, model: m, want: one.want, pulled: one.pulled}
		j.await = func(ctx context.Context, name string) error { return k.await(ctx, one, name) }
		if one.state.Reason == Present {
			j.known = one.state.Digest
		}
		k.works.Go(func() { k.work(its, one, j) })
	}
	k.keepPruned(ctx, fleet)
}

// usersWithTools names for each model an agent that offers it tools.
func usersWithTools(fleet *spec.Fleet) map[string]spec.AgentName {
	users := map[string]spec.AgentName{}
	if fleet == nil {
		return users
	}
	var use func(m *spec.Model, agent spec.AgentName)
	use = func(m *spec.Model, agent spec.AgentName) {
		if by, ok := users[m.Name]; ok && by <= agent {
			return
		}
		users[m.Name] = agent
		for _, other := range m.Others {
			use(other, agent)
		}
	}
	for _, a := range fleet.Agents {
		if a.Model != nil && len(a.Tools)+len(a.ReadPaths)+len(a.ProposePaths)+len(a.Skills)+len(a.Delegates) > 0 {
			use(a.Model, a.Name)
		}
	}
	return users
}

// work looks at one model, and tells how it goes.
func (k *Keeper) work(ctx context.Context, one *kept, j *job) {
	j.tell = func(s State) { k.set(one, j.model, s) }
	s := j.do(ctx)
	given := ctx.Err() == nil // What was given up says nothing of the model.
	one.cancel()
	k.mu.Lock()
	one.working = false
	close(one.done)
	one.pulled = one.pulled || j.pulled
	wait := recheck
	switch s.Reason {
	case PullFailed, CreateFailed:
		wait = min(retry<<min(one.failures, 10), maxRetry)
		one.failures++
	case ServerUnavailable:
		wait = relook
	case Present:
		one.failures = 0
	}
	one.next = k.opts.Now().Add(wait)
	k.mu.Unlock()
	if given {
		j.tell(s)
	}
}

// await waits while a model of this name that is declared on the same server is looked after, so that another can be made of it.
func (k *Keeper) await(ctx context.Context, self *kept, name string) error {
	k.mu.Lock()
	var other *kept
	for _, one := range k.kept {
		if one.working && model.SameName(one.model.Spec.Name, name) && k.opts.Models.OllamaAt(one.model) == k.opts.Models.OllamaAt(self.model) {
			other = one
		}
	}
	for at := other; at != nil; at = at.awaits {
		if at == self {
			k.mu.Unlock()
			return fmt.Errorf("it and %s, which FROM names, are made of each other", name)
		}
	}
	if other == nil {
		k.mu.Unlock()
		return nil
	}
	self.awaits = other
	done := other.done
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		self.awaits = nil
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// set writes a state down, and tells of it.
func (k *Keeper) set(one *kept, m *spec.Model, s State) {
	k.mu.Lock()
	old := one.state
	if s.Reason == Checking && !old.Working() {
		k.mu.Unlock()
		return // What was known before holds until more is known.
	}
	one.state = s
	k.mu.Unlock()
	// The words about a server that cannot be reached differ each time, by the ports in them.
	news := !s.Working() && s.Reason != ServerUnavailable && s.Message != old.Message
	if s.Reason != old.Reason || s.Percent/10 != old.Percent/10 || news {
		k.opts.Changed(m, s)
	}
}

// Wait waits until nothing is under way.
func (k *Keeper) Wait() { k.works.Wait() }

// Busy reports whether anything is under way that ends by itself.
func (k *Keeper) Busy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.prune.working {
		return true
	}
	for _, one := range k.kept {
		if one.working && one.state.Working() {
			return true
		}
	}
	return false
}

// State returns how a model is doing; false where it is none that is kept, or another than the one that is.
func (k *Keeper) State(m *spec.Model) (State, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.kept[m.Ref]
	if one == nil || one.model.Digest != m.Digest {
		return State{}, false
	}
	if one.failed != nil && one.state.Reason == Present {
		return *one.failed, true
	}
	return one.state, true
}

// Chat asks a model once, as [model.Providers.Chat] does. One that is being pulled or created is not asked, and may be later; what
// an answer tells of the model is remembered.
func (k *Keeper) Chat(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error) {
	if s, ok := k.State(m); ok && (s.Reason == Pulling || s.Reason == Creating) {
		return model.Answer{}, &model.AskError{Model: m.Name, Err: &model.Error{Reason: model.Unavailable, Err: errors.New(s.Message)}}
	}
	answer, err := k.opts.Models.Chat(ctx, m, request, delta)
	if ctx.Err() == nil {
		k.learn(m, err)
	}
	return answer, err
}

func (k *Keeper) learn(m *spec.Model, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.kept[m.Ref]
	if one == nil || one.model.Digest != m.Digest {
		return
	}
	one.failed = nil
	if err == nil {
		return
	}
	switch model.ReasonOf(err) {
	case model.OutOfMemory:
		one.failed = &State{Reason: OutOfMemory}
	case model.ContextExceeded:
		one.failed = &State{Reason: ContextOverflow}
	case model.Missing, model.Unavailable:
		one.next = time.Time{} // The next look finds out.
	}
	if one.failed != nil {
		one.failed.Message, one.failed.Digest = reason(err), one.state.Digest
	}
}

// reason is an error without the name of the model, which stands beside it.
func reason(err error) string {
	if e, ok := errors.AsType[*model.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}
