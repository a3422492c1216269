package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/reconciler/store"
	"github.com/mainstay-dev/mainstay/spec"
)

// talk is one side of a conversation: it says things in a thread and is told what the agent does. A daemon of the same state
// folder does the work, or, where none runs, this process does.
type talk struct {
	env    environment
	repo   repoFlags
	state  stateFlags
	thread spec.ThreadID
	agent  spec.AgentName
	client *serve.Client
	// tell is told what happens.
	tell func(reconciler.Event)

	mu sync.Mutex
	w  *wired // while this process works
}

// newTalk finds the state folder and, in it, whether a daemon runs.
func newTalk(cmd *cobra.Command, env environment, repo repoFlags, state stateFlags, agent string, thread spec.ThreadID) (*talk, error) {
	if thread != "" {
		if err := reconciler.CheckThread(thread); err != nil {
			return nil, usageError{err}
		}
	}
	if err := repo.resolve(); err != nil {
		return nil, err
	}
	if state.dir == "" {
		dir, err := defaultState(repo.repo, repo.ref, repo.path)
		if err != nil {
			return nil, err
		}
		state.dir = dir
	}
	path, err := socketPath(state.dir)
	if err != nil {
		return nil, err
	}
	t := &talk{env: env, repo: repo, state: state, thread: thread, agent: spec.AgentName(agent), client: serve.Dial(path)}
	if repo.env != "" && t.live(cmd.Context()) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: a daemon runs, and the environment is the one that it was started with")
	}
	if t.thread == "" {
		t.thread, err = newThreadID()
	}
	return t, err
}

// newThreadID makes an id that a person can type.
func newThreadID() (spec.ThreadID, error) {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's: none looks like another.
	var random [8]byte
	if _, err := io.ReadFull(rand.Reader, random[:]); err != nil {
		return "", fmt.Errorf("choose the id of a thread: %w", err)
	}
	id := make([]byte, 0, len(random)+1)
	for i, b := range random {
		if i == len(random)/2 {
			id = append(id, '-')
		}
		id = append(id, letters[int(b)%len(letters)])
	}
	return spec.ThreadID(id), nil
}

// live reports whether a daemon runs.
func (t *talk) live(ctx context.Context) bool {
	var s reconciler.Status
	err := t.client.Status(ctx, &s)
	return err == nil
}

// say gives the agent a message, and returns how its run stands in the end. What is left of the thread's last run comes
// first, and is told to earlier.
func (t *talk) say(ctx context.Context, text string, earlier func(spec.RunSummary)) (spec.RunSummary, error) {
	if t.live(ctx) {
		if last, ok, err := t.follow(ctx, nil); err != nil {
			return last, err
		} else if ok {
			earlier(last)
		}
		last, _, err := t.follow(ctx, &text)
		return last, err
	}
	var last spec.RunSummary
	err := t.here(ctx, func(w *wired) error {
		resumed, ok, err := w.Resume(ctx, t.thread)
		if err != nil {
			return err
		}
		if ok {
			earlier(resumed)
		}
		last, err = w.Converse(ctx, t.thread, t.agent, text)
		return err
	})
	return last, err
}

// resume goes on with the thread's last run where that was cut off. It reports whether it was.
func (t *talk) resume(ctx context.Context) (last spec.RunSummary, ok bool, err error) {
	if t.live(ctx) {
		return t.follow(ctx, nil)
	}
	err = t.here(ctx, func(w *wired) error {
		last, ok, err = w.Resume(ctx, t.thread)
		return err
	})
	return last, ok, err
}

// errCutOff says that the daemon has ended in the middle of an answer.
var errCutOff = errors.New("the daemon has ended; the run is kept, and goes on with the next one")

// follow says something to the daemon's agent, or, without a text, waits for the answer under way. It reports whether there
// was a run to follow.
func (t *talk) follow(ctx context.Context, text *string) (last spec.RunSummary, ok bool, err error) {
	var heard bool
	each := func(line []byte) error {
		var h happening
		if err := json.Unmarshal(line, &h); err != nil {
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		heard = true
		if h.Summary != nil {
			last, ok = *h.Summary, true
		} else {
			t.tell(h.event())
		}
		return nil
	}
	if text == nil {
		err = t.client.Follow(ctx, string(t.thread), each)
	} else {
		err = t.client.Say(ctx, string(t.thread), serve.Said{Agent: string(t.agent), Text: *text}, each)
	}
	if ctx.Err() == nil && !ok && (heard || text != nil) && (err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)) {
		err = errCutOff
	}
	return last, ok, err
}

// here has this process work with the state folder. It is open only meanwhile, so that nobody else waits for a person who is
// thinking, and each message finds the newest revision.
func (t *talk) here(ctx context.Context, work func(w *wired) error) (err error) {
	w, err := wire(ctx, t.env, wiring{repo: t.repo, state: t.state, interval: time.Second,
		log: slog.New(slog.DiscardHandler), observe: t.tell, getenv: os.LookupEnv})
	if err != nil {
		return inUse(err)
	}
	t.mu.Lock()
	t.w = w
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.w = nil
		t.mu.Unlock()
		err = errors.Join(err, w.close(context.WithoutCancel(ctx)))
	}()
	return work(w)
}

// inUse says of a state folder that is locked what a person can do.
func inUse(err error) error {
	if locked, ok := errors.AsType[*store.ErrLocked](err); ok && locked.PID != 0 {
		return fmt.Errorf("process %d works with the state folder now, and answers one message at a time: wait for it, or start `mainstay run`, which answers many at once", locked.PID)
	}
	return err
}

// cancel ends the answer under way. It reports whether there was one.
func (t *talk) cancel(ctx context.Context) (bool, error) {
	t.mu.Lock()
	w := t.w
	t.mu.Unlock()
	var err error
	if w != nil {
		err = w.CancelThread(ctx, t.thread, account())
	} else {
		err = t.client.CancelThread(ctx, string(t.thread))
	}
	if errors.Is(err, serve.ErrNotServing) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// read returns what was said so far; of a new thread nothing.
func (t *talk) read(ctx context.Context) (reconciler.Thread, error) {
	var said reconciler.Thread
	if t.live(ctx) {
		err := t.client.Thread(ctx, string(t.thread), &said)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return said, err
	}
	dir := filepath.Join(t.state.dir, "store")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return said, nil
	}
	err := withStore(ctx, dir, func(st *store.Store) (err error) {
		said, err = reconciler.ReadThread(ctx, st, t.thread)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	return said, err
}

// withStore opens a store for a moment.
func withStore(ctx context.Context, dir string, use func(st *store.Store) error) error {
	var st *store.Store
	err := whileLocked(ctx, func() (err error) {
		st, err = store.Open(ctx, store.Options{Dir: dir})
		return err
	})
	if err != nil {
		return inUse(err)
	}
	return errors.Join(use(st), st.Close())
}

// again is the command that goes on with the thread.
func (t *talk) again(cmd *cobra.Command) string {
	given := t.repo.given(cmd)
	for _, name := range []string{"env", "state"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			given += " --" + name + " " + quoted(flag.Value.String())
		}
	}
	return strings.Join([]string{program(), "chat", string(t.agent), "--thread", string(t.thread)}, " ") + given
}
