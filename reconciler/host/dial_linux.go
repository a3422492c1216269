package host

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// checkPeer returns an error unless the process that listens at the other end of conn is pid.
func checkPeer(conn *net.UnixConn, pid int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask who listens: %w", err)
	}
	var peer *unix.Ucred
	var askErr error
	if err := raw.Control(func(fd uintptr) {
		peer, askErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("ask who listens: %w", err)
	}
	if askErr != nil {
		return fmt.Errorf("ask who listens: %w", askErr)
	}
	if int(peer.Pid) != pid {
		return fmt.Errorf("the process %d listens at the runtime's address, not the runtime itself (%d)", peer.Pid, pid)
	}
	return nil
}
