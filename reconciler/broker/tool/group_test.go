//go:build unix

package tool_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool/tooltest"
)

func TestCloseLeavesNoGrandchildBehind(t *testing.T) {
	servers, _ := newServers(t, nil)
	got, err := servers.Call(t.Context(), tooltest.Server("cluster"), "child", nil, tool.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(got.Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	// A killed grandchild is reaped by the system, a moment later.
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}
