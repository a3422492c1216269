//go:build unix

package child

import (
	"fmt"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// limitProcess sets the limits of this process. It leaves those that are lower already.
func limitProcess() error {
	debug.SetMemoryLimit(maxMemory * 3 / 4)
	for _, l := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"memory", unix.RLIMIT_DATA, maxMemory}, {"processor time", unix.RLIMIT_CPU, maxProcessor}, {"file size", unix.RLIMIT_FSIZE, 0}, {"core dumps", unix.RLIMIT_CORE, 0},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("limit the %s of this process: %w", l.name, err)
		}
		now.Cur, now.Max = min(now.Cur, l.value), min(now.Max, l.value)
		if err := unix.Setrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("limit the %s of this process: %w", l.name, err)
		}
	}
	return nil
}
