//go:build linux && !amd64 && !arm64

package host

// arch 0 means that there is no filter for this architecture.
const arch = 0

var archDenied, archIgnored, archForks []uint32
