//go:build unix

package jsonnet

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// runtimeData is how much more is mapped than holds values, in bytes: the runtime maps its heap in pieces of 64 MiB,
// and stacks and tables beside it. It also puts the limit behind the watch, which ends the process in better order.
const runtimeData = 128 << 20

// limitProcess sets the limits of this process. It leaves those that are lower already.
func limitProcess(l limits) error {
	for _, one := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"memory", unix.RLIMIT_DATA, mapped() + l.Memory + runtimeData},
		{"processor time", unix.RLIMIT_CPU, l.CPU},
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"core dumps", unix.RLIMIT_CORE, 0},
	} {
		if err := lower(one.resource, one.value); err != nil {
			return fmt.Errorf("limit the %s of this process: %w", one.name, err)
		}
	}
	return nil
}

func lower(resource int, value uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	// Some systems have signed limits, and their infinity is the largest of those.
	most := min(value, uint64(now.Max), math.MaxInt64)
	set(&now.Cur, most)
	set(&now.Max, most)
	return unix.Setrlimit(resource, &now)
}

func set[N int64 | uint64](limit *N, value uint64) { *limit = N(value) }
