package host

import "github.com/mainstay-dev/mainstay/spec"

// WithoutWalls leaves walls out of the processes that h starts from now on.
func WithoutWalls(h *Host, walls Isolation) {
	h.base.mu.Lock()
	defer h.base.mu.Unlock()
	h.base.without = walls
}

// LittleRoom lets h's processes have a few times less than usual, so that tests of the limits are quick.
func LittleRoom(h *Host) {
	h.base.mu.Lock()
	defer h.base.mu.Unlock()
	h.base.limits = limits{data: 160 << 20, tasks: 64, resident: 192 << 20, cpu: 40_000}
}

// SweepGroups removes the control groups that killed hosts have left.
func SweepGroups() {
	groups, _ := newCgroups()
	groups.close()
}

// Places are the private folder of an agent's only process, and the path of the socket that it listens at.
func Places(h *Host, name spec.AgentName) (folder, socket string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.schedule.pools[name].workers[0]
	return h.base.private(w.slot), w.live.runner.listens()
}
