//go:build !linux

package host

import "net"

// checkPeer cannot ask on this system. The socket lies in a folder that only this user can enter.
func checkPeer(*net.UnixConn, int) error { return nil }
