package jsonnet

import (
	"bytes"
	"os"
	"strconv"
)

// mapped is how much memory the process has mapped that its limit counts, in bytes: what the runtime, and a race detector,
// took before the first program is not the program's. It is 0 where that cannot be told.
func mapped() uint64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	const data = 5 // size, resident, shared, text, lib, data, in pages
	fields := bytes.Fields(raw)
	if len(fields) <= data {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[data]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
