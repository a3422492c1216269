package host

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheProcessItselfMayListenAtItsSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := checkPeer(conn.(*net.UnixConn), os.Getpid()); err != nil {
		t.Errorf("this process listens: %v", err)
	}
	if err := checkPeer(conn.(*net.UnixConn), os.Getppid()); err == nil {
		t.Error("another process was taken for this one")
	}
}
