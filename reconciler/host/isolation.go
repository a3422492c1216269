package host

import (
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// Isolation is the set of walls around an agent's process. Every process has the floor: an empty environment, a private
// folder, limits, and a session and process group of its own. The walls are added where the kernel and the host's rights
// allow.
//
//	landlock    reads its own executable, the system's libraries and its private folder, and makes nothing but a socket there
//	seccomp     makes no outgoing connection, no socket but unix streams, no other process, no privileged call
//	uid         has a user id of its own, shared with no one; only where the host is root
//	namespaces  sees no process but its own, no network and no abstract socket
//	cgroup      has a share of the processors' time, memory and tasks that the kernel bounds, with all that it starts
//
// An agent that declares executables has the first two opened for these and no further, see [Agent.Exec].
type Isolation uint8

// The walls.
const (
	Landlock Isolation = 1 << iota
	Seccomp
	UID
	Namespaces
	Cgroup
)

var walls = []struct {
	name string
	wall Isolation
}{{"landlock", Landlock}, {"seccomp", Seccomp}, {"uid", UID}, {"namespaces", Namespaces}, {"cgroup", Cgroup}}

// String names the walls, as in "landlock+seccomp+uid". No wall is "process", for only the floor is there.
func (i Isolation) String() string {
	var names []string
	for _, w := range walls {
		if i&w.wall != 0 {
			names = append(names, w.name)
		}
	}
	if len(names) == 0 {
		return "process"
	}
	return strings.Join(names, "+")
}

// ParseIsolation reads what String writes; the order of the names does not matter.
func ParseIsolation(text string) (Isolation, error) {
	var i Isolation
	if text == "process" {
		return i, nil
	}
next:
	for name := range strings.SplitSeq(text, "+") {
		for _, w := range walls {
			if w.name == name {
				i |= w.wall
				continue next
			}
		}
		return 0, fmt.Errorf("unknown isolation %q: use process, or cgroup, landlock, namespaces, seccomp and uid joined by +", name)
	}
	return i, nil
}

// Required is what an agent requires.
func Required(agent *spec.Agent) (Isolation, error) {
	if agent.Isolation == nil || agent.Isolation.Require == "" {
		return 0, nil
	}
	return ParseIsolation(agent.Isolation.Require)
}

// MissingError says that a process was not started because walls that are required cannot be had.
type MissingError struct {
	Required, Missing Isolation
	// Exec says that they are required because the agent may execute programs. Of Missing one is then enough, unless landlock or
	// seccomp is among them.
	Exec bool
	// Reason is what the system answered, where it did.
	Reason error
}

func (e *MissingError) Error() string {
	text := fmt.Sprintf("the isolation %s is required and %s cannot be had here", e.Required, e.Missing)
	hint := "run mainstay where it can, or require less"
	switch {
	case e.Exec && e.Missing&(Landlock|Seccomp) != 0:
		text = fmt.Sprintf("an agent that executes programs needs the isolation landlock and seccomp, and %s cannot be had here", e.Missing)
		hint = "run mainstay on Linux 5.13 or later, on amd64 or arm64, or remove isolation.exec"
	case e.Exec:
		text = "an agent that executes programs needs the isolation cgroup, or namespaces and a user of its own, so that what it starts " +
			"ends with it and shares its limits, and neither can be had here"
		hint = "run mainstay as a service with Delegate=yes, as root outside a container, or as a user who may make user namespaces, or remove isolation.exec"
	}
	if e.Reason != nil {
		text += fmt.Sprintf(" (%v)", e.Reason)
	}
	return text + ": " + hint
}

func (e *MissingError) Unwrap() error { return e.Reason }
