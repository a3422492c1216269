package host

import (
	"fmt"
	"strings"
)

// Isolation is the set of walls around an agent's process. Every process has the floor: an empty environment, a private
// folder, and its own process group. The walls are added where the kernel and the host's rights allow.
//
//	landlock  reads its own executable, the system's libraries and its private folder, writes only the latter
//	seccomp   makes no outgoing connection, no socket but unix streams, no other process, no privileged call
//	uid       has a user id of its own, shared with no one; only where the host is root
type Isolation uint8

// The walls.
const (
	Landlock Isolation = 1 << iota
	Seccomp
	UID
)

var walls = []struct {
	name string
	wall Isolation
}{{"landlock", Landlock}, {"seccomp", Seccomp}, {"uid", UID}}

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
		return 0, fmt.Errorf("unknown isolation %q: use process, or landlock, seccomp and uid joined by +", name)
	}
	return i, nil
}
