//go:build !linux

package host

import "errors"

// cgroups are of Linux.
type cgroups struct{}

func newCgroups() (*cgroups, error) { return nil, errors.ErrUnsupported }

func (*cgroups) close() {}

type cgroup struct{}

func (*cgroup) kill() {}

func (*cgroup) private() int64 { return 0 }
