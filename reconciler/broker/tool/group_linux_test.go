package tool_test

import (
	"fmt"
	"os"
	"strings"
)

// alive reports whether the process runs. One that has ended but is not reaped, because nothing reaps orphans here, does
// not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
