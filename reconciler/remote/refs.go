package remote

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing/transport/client"
	"github.com/go-git/go-git/v5/plumbing/transport/git"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// maxRefs bounds the list of a remote's branches and tags, in bytes, which go-git keeps in memory: a server that never ends it must not take
// all there is. A million of them fit.
const maxRefs = 64 << 20

// boundRefs has go-git ask through a client that bounds that list, and how long it is waited for. go-git has one client for all.
var boundRefs = sync.OnceFunc(func() {
	bounded := githttp.NewClient(&http.Client{Transport: refsBound{http.DefaultTransport}})
	client.InstallProtocol("http", impatient{bounded, answers})
	client.InstallProtocol("https", impatient{bounded, answers})
	client.InstallProtocol("ssh", impatient{ssh.DefaultClient, answers})
	client.InstallProtocol("git", impatient{git.DefaultClient, answers})
})

// refsBound bounds the answers that list refs.
type refsBound struct{ next http.RoundTripper }

func (b refsBound) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/info/refs") {
		answer.Body = &boundedBody{answer.Body, maxRefs}
	}
	return answer, err
}

// boundedBody fails after so many bytes.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("%w: the remote lists more than %d MiB of branches and tags", ErrTooLarge, maxRefs>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
