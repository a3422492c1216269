package host

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// healthyLife is how long a process must live for its end to count as the first.
const healthyLife = 10 * time.Minute

// start begins the life of a worker. The caller holds the lock.
func (h *Host) start(w *worker) {
	h.tasks.Go(func() { h.live(w) })
	if !h.watching {
		h.watching = true
		h.tasks.Go(h.watch)
	}
}

// live starts a process, and stays with it until it and all that belonged to it are gone.
func (h *Host) live(w *worker) {
	defer close(w.over)
	defer w.cancel()
	live, err := h.launch(w.ctx, string(w.pool.Name), w.build, w.slot)
	if err == nil && h.begun(w, live) {
		select {
		case <-live.proc.exited:
		case <-w.ctx.Done():
		}
	}
	h.mu.Lock()
	purpose, hurry := w.purpose, w.hurry
	if live != nil && !purpose {
		h.lost(w, "")
	}
	h.mu.Unlock()
	if live != nil {
		if hurry {
			live.proc.kill()
		}
		live.close()
	}
	h.tidy(w.slot)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.schedule.gone(w)
	switch {
	case purpose && err == nil:
		w.pool.failures = 0
	case purpose:
	case err == nil:
		h.tell(w)
	default:
		h.unstarted(w, err)
	}
	h.schedule.step(h.options.Now())
}

// begun makes a process that answers one that runs are sent to, unless it is to end already.
func (h *Host) begun(w *worker, live *instance) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.live = live
	w.build.check.isolation = live.proc.isolation.String()
	if w.state != workerStarting {
		return false
	}
	now := h.options.Now()
	h.schedule.ready(w, now)
	w.pool.since = now
	h.schedule.step(now)
	return true
}

// lost takes a process out of service that has ended by itself, or is killed for a reason. The caller holds the lock.
func (h *Host) lost(w *worker, reason string) {
	if w.state != workerReady {
		return
	}
	w.state, w.dead = workerEnding, reason
	w.live.proc.kill()
	h.backOff(w)
}

// tell keeps how a process has ended by itself.
func (h *Host) tell(w *worker) {
	p := w.pool
	if w.build != p.build {
		return
	}
	p.since, p.lastExit, p.lastStderr = h.options.Now(), w.ending(), w.live.out.words()
	h.options.Log.Warn("the agent's process ended", "agent", p.Name, "exit", p.lastExit)
}

// unstarted notes that a process did not start.
func (h *Host) unstarted(w *worker, err error) {
	p := w.pool
	if w.build != p.build {
		return
	}
	h.backOff(w)
	p.since, p.broken, p.lastExit, p.lastStderr = h.options.Now(), true, err.Error(), ""
	h.options.Log.Warn("the agent's process did not start", "agent", p.Name, "error", err)
	if p.share() == 0 {
		h.schedule.refuse(p, fmt.Errorf("its process did not start: %w", err))
	}
}

// backOff makes the agent's next process wait, because one did not start or ended by itself. The caller holds the lock.
func (h *Host) backOff(w *worker) {
	p, now := w.pool, h.options.Now()
	if w.build != p.build { // It says nothing of those that are started from now on.
		return
	}
	if now.Sub(w.born) >= healthyLife {
		p.failures = 0
	}
	p.failures++
	wait := h.options.Backoff(p.failures)
	p.until = now.Add(wait)
	h.tasks.Go(func() {
		if h.options.Sleep(h.ctx, wait) == nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.schedule.step(h.options.Now())
		}
	})
}

// ending says how the process ended, for people.
func (w *worker) ending() string {
	if w.dead != "" {
		return w.dead
	}
	return w.live.proc.ending()
}

// launch starts a process.
func (h *Host) launch(ctx context.Context, agent string, b *build, slot int) (*instance, error) {
	prog, err := h.base.prepare(slot, b.Runtime, b.exec)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", b.name, err)
	}
	if err := h.verify(b.name, cmp.Or(prog.script, prog.path)); err != nil {
		return nil, err
	}
	log := h.options.Log.With("agent", agent)
	out := &output{
		log:   func(line string) { log.Debug("the agent's process printed", "line", line) },
		sleep: h.options.Sleep,
	}
	prog.require, prog.sleep = b.require, h.options.Sleep
	live, err := startInstance(ctx, prog, out)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", b.name, err)
	}
	return live, nil
}

// watchTime is the time between two looks at all processes.
const watchTime = time.Second

// watch looks after processes for as long as there are any.
func (h *Host) watch() {
	for {
		err := h.options.Sleep(h.ctx, min(watchTime, h.options.Alive/2))
		h.mu.Lock()
		if err != nil || len(h.schedule.workers) == 0 {
			h.watching = false
			h.mu.Unlock()
			return
		}
		processes := map[*worker]*process{}
		for _, w := range h.schedule.workers {
			if w.state == workerReady {
				processes[w] = w.live.proc
			}
		}
		h.mu.Unlock()
		held := map[*worker]int64{}
		for w, p := range processes { // Each may have started hundreds, and nobody else need wait until they are looked at.
			held[w] = p.memory()
		}
		h.mu.Lock()
		now := h.options.Now()
		for _, w := range h.schedule.workers {
			memory, looked := held[w]
			if w.state != workerReady || !looked {
				continue
			}
			if w.memory = memory; memory > 0 {
				w.pool.memory = memory
			}
			if w.runs > 0 && !w.asking && now.Sub(w.proved) >= h.options.Alive {
				w.asking = true
				h.tasks.Go(func() { h.prove(w) })
			}
		}
		h.schedule.sweep(now)
		h.schedule.step(now)
		h.mu.Unlock()
	}
}

// prove has a process show that it answers, and kills it where it does not.
func (h *Host) prove(w *worker) {
	err := w.live.describe(h.ctx, h.options.Alive)
	h.mu.Lock()
	defer h.mu.Unlock()
	w.asking = false
	if err == nil {
		w.proved = h.options.Now()
		return
	}
	if h.ctx.Err() == nil {
		h.lost(w, fmt.Sprintf("killed, because it did not answer for %s", h.options.Alive))
	}
}
