//go:build !linux

package plugintest

// memory is the resident memory of a process in bytes, or 0 where it cannot be told.
func memory(int) int64 { return 0 }
