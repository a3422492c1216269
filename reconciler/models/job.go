package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// job brings one model to what is declared.
type job struct {
	models model.Providers
	memory Memory
	model  *spec.Model
	want   want
	pulled bool
	// known is the digest that was found to be as it is declared before; "" is none.
	known spec.Digest
	// only looks and changes nothing.
	only bool
	// await waits while another Model of this name is being got. Nil waits for none.
	await func(ctx context.Context, name string) error
	tell  func(State)
}

// Ensure brings one model of provider ollama to what it declares, and returns how it is then. tell hears how far it is. files
// is the folder of mainstay.yaml, and fleet, which may be nil, tells what its agents expect of it.
func Ensure(ctx context.Context, models model.Providers, m *spec.Model, files fs.FS, fleet *spec.Fleet, tell func(State)) State {
	j := job{models: models, memory: Forgetful{}, model: m, want: want{files: files, tools: usersWithTools(fleet)[m.Name]}, tell: tell}
	return j.do(ctx)
}

// Check looks how a model is doing, as [Ensure] does, and changes nothing.
func Check(ctx context.Context, models model.Providers, m *spec.Model, files fs.FS, fleet *spec.Fleet) State {
	j := job{models: models, memory: Forgetful{}, model: m, want: want{files: files, tools: usersWithTools(fleet)[m.Name]}, only: true, tell: func(State) {}}
	return j.do(ctx)
}

func (j *job) do(ctx context.Context) State {
	j.tell(State{Reason: Checking, Message: "its server is asked"})
	source := j.model.Spec.Source
	digest, err := j.digest(ctx)
	missing := model.ReasonOf(err) == model.Missing
	switch {
	case err != nil && !missing:
		return State{Reason: ServerUnavailable, Message: reason(err)}
	case missing && (source == nil || source.File == "" && source.Pull == "never"):
		return State{Reason: ModelMissing, Message: reason(err)}
	case missing && j.only:
		return State{Reason: ModelMissing, Message: fmt.Sprintf("the server does not have %s: run `mainstay models pull`; `mainstay run` does it too", j.model.Spec.Name)}
	case source != nil && source.File != "" && !missing && digest == j.known: // It may be gigabytes to read again.
	case source != nil && source.File != "":
		if s, done := j.create(ctx, missing); !done {
			return s
		}
	case missing || source != nil && source.Pull == "always" && !j.pulled && !j.only:
		made, err := j.memory.Made(ctx, j.model)
		ours := err == nil && (missing || made == digest)
		if err := j.pull(ctx, missing); err != nil && missing { // One that is there is, if it is not the newest.
			return State{Reason: PullFailed, Message: reason(err)}
		} else if err == nil && ours {
			if err := j.remember(ctx); err != nil {
				return State{Reason: ServerUnavailable, Message: reason(err)}
			}
		}
	}
	if digest, err = j.digest(ctx); err != nil {
		return State{Reason: ServerUnavailable, Message: reason(err)}
	}
	s := j.compare(ctx, digest)
	if made, err := j.memory.Made(ctx, j.model); err == nil { // It is only shown.
		s.Made = made == digest
	}
	return s
}

// remember keeps that the model which is on the server now was got here. It is done even if the work is given up, for it has an effect.
func (j *job) remember(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	digest, err := j.digest(ctx)
	if err != nil {
		return err
	}
	return j.memory.Remember(ctx, j.model, digest)
}

// look bounds a question that needs no work.
func (j *job) look(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

func (j *job) digest(ctx context.Context) (spec.Digest, error) {
	ctx, cancel := j.look(ctx)
	defer cancel()
	digest, err := j.models.Digest(ctx, j.model)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("its server gives no answer in %s: look whether `ollama list` does there", patience)
	}
	return digest, err
}

// pull has the server pull the model. One that is there answers in the meantime.
func (j *job) pull(ctx context.Context, missing bool) error {
	at := Checking
	if missing {
		at = Pulling
	}
	j.tell(State{Reason: at, Message: "it is being pulled"})
	err := j.models.Pull(ctx, j.model, func(p model.Progress) {
		j.tell(State{Reason: at, Message: fmt.Sprintf("it is being pulled, %d%%: %s", p.Percent, p.Doing), Percent: p.Percent})
	})
	j.pulled = j.pulled || err == nil
	return err
}

// compare says whether a model that is there is what is declared.
func (j *job) compare(ctx context.Context, digest spec.Digest) State {
	m := j.model
	bad := func(reason, format string, args ...any) State {
		return State{Reason: reason, Message: fmt.Sprintf(format, args...), Digest: digest}
	}
	if s := m.Spec.Source; s != nil && s.Digest != "" && spec.Digest(s.Digest) != digest {
		return bad(DigestMismatch, "%s on the server is %s, and spec.source.digest says %s: if it was meant to change, write digest: %s; if not, `ollama rm %s` and have it pulled again",
			m.Spec.Name, digest, s.Digest, digest, m.Spec.Name)
	}
	ctx, cancel := j.look(ctx)
	defer cancel()
	is, err := j.models.Describe(ctx, m)
	if err != nil {
		return bad(ServerUnavailable, "%s", reason(err))
	}
	if j.want.tools != "" && !is.Tools {
		return bad(NoTools, "%s cannot call tools, and agent %s has some: choose another model; `mainstay doctor` lists those there that can", m.Spec.Name, j.want.tools)
	}
	for _, asks := range []struct {
		field  string
		tokens int
	}{{"parameters.num_ctx", number(m.Spec.Parameters["num_ctx"])}, {"context.window", window(m)}} {
		if is.ContextLength > 0 && asks.tokens > is.ContextLength {
			return bad(ContextOverflow, "%s reads %d tokens at most, and spec.%s says %d: write %d or less", m.Spec.Name, is.ContextLength, asks.field, asks.tokens, is.ContextLength)
		}
	}
	return State{Reason: Present, Message: m.Spec.Name + " is there, " + digest.Short(), Percent: 100, Digest: digest}
}

func window(m *spec.Model) int {
	if m.Spec.Context == nil {
		return 0
	}
	return m.Spec.Context.Window
}

// number is a parameter that is a number, as YAML and JSON give it.
func number(value any) int {
	switch n := value.(type) {
	case float64:
		return int(n)
	case int64:
		return int(n)
	case int:
		return n
	}
	return 0
}

// loading bounds how long a server may take to load a model from a slow disk.
const loading = 10 * time.Minute

// Loaded has the server load a model that is there, in the state s, and returns how it is then.
func Loaded(ctx context.Context, models model.Providers, m *spec.Model, s State) State {
	within, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	err := models.Load(within, m)
	switch {
	case err == nil:
		s.Message += ", and fits into memory"
		return s
	case model.ReasonOf(err) == model.OutOfMemory:
		return State{Reason: OutOfMemory, Message: reason(err), Digest: s.Digest}
	case within.Err() != nil && ctx.Err() == nil:
		err = fmt.Errorf("its server has not loaded %s after %s", m.Spec.Name, loading)
	}
	return State{Reason: ServerUnavailable, Message: reason(err), Digest: s.Digest}
}
