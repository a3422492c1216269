package remote

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport/client"
	xssh "golang.org/x/crypto/ssh"
)

// muteServer takes connections, and says nothing.
func muteServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	connections.Go(func() {
		var all []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			all = append(all, c)
		}
		for _, c := range all {
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		connections.Wait()
	})
	return l.Addr().String()
}

// sshAuth logs in with a new key.
func sshAuth(t *testing.T) Auth {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	a := Auth{SSHKey: filepath.Join(t.TempDir(), "id_ed25519"), KnownHosts: filepath.Join(t.TempDir(), "known_hosts")}
	if err := errors.Join(os.WriteFile(a.SSHKey, pem.EncodeToMemory(block), 0o600), os.WriteFile(a.KnownHosts, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	boundRefs()
	for _, scheme := range []string{"http", "https", "ssh", "git"} {
		is, ok := client.Protocols[scheme].(impatient)
		if !ok || is.most != answers {
			t.Fatalf("%s waits for ever", scheme)
		}
		client.InstallProtocol(scheme, impatient{is.Transport, 100 * time.Millisecond})
		t.Cleanup(func() { client.InstallProtocol(scheme, is) })
	}
	at := muteServer(t)
	for _, url := range []string{"http://" + at + "/shop.git", "https://" + at + "/shop.git", "ssh://git@" + at + "/shop.git", "git://" + at + "/shop.git"} {
		t.Run(url[:strings.Index(url, ":")], func(t *testing.T) {
			r := openRemote(t, Options{URL: url, Auth: sshAuth(t)})
			_, err := r.Fetch(t.Context())
			wantIs(t, err, ErrUnreachable)
			wantSays(t, err, "it has not answered for 100ms (check the URL, and that this machine may connect to it)")
			if strings.Count(err.Error(), at) != 1 {
				t.Errorf("the URL is not told once: %v", err)
			}
			err = r.Push(t.Context(), "main", "", write(t, r, draft("", file("a", "1"))))
			wantIs(t, err, ErrUnreachable)
			wantSays(t, err, "it has not answered for 100ms")
		})
	}
}

func TestAnExchangeThatIsNotDoneInTimeSaysSo(t *testing.T) {
	r := openRemote(t, Options{URL: "http://" + muteServer(t) + "/shop.git", Timeout: 50 * time.Millisecond})
	_, err := r.Fetch(t.Context())
	wantIs(t, err, ErrUnreachable)
	wantSays(t, err, "it was not done after 50ms")
}
