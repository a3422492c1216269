package execute_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // Memory is not short here, and collecting it took a fifth of the time.
	client.InstallProtocol("file", &sameProcess{Transport: file.DefaultClient, loader: server.NewFilesystemLoader(osfs.New("/"))})
	os.Exit(m.Run())
}

// sameProcess serves the repositories of the tests, which are real and on disk, in the test's own process: package file
// starts some processes for each exchange, and they took most of the time. A repository that has a hook is pushed to with
// git-receive-pack: what a hook does, and which of two pushes wins where executors race, is Git's own work.
type sameProcess struct {
	transport.Transport
	loader server.Loader
	refs   sync.RWMutex // go-git writes a ref in place
}

func hooked(ep *transport.Endpoint) bool {
	hooks, err := os.ReadDir(filepath.Join(ep.Path, "hooks"))
	return err == nil && len(hooks) > 0
}

func (s *sameProcess) NewUploadPackSession(ep *transport.Endpoint, auth transport.AuthMethod) (transport.UploadPackSession, error) {
	if hooked(ep) {
		return s.Transport.NewUploadPackSession(ep, auth)
	}
	session, err := server.NewClient(s.loader).NewUploadPackSession(ep, auth)
	if err != nil {
		return nil, err
	}
	return reading{session, s}, nil
}

type reading struct {
	transport.UploadPackSession
	of *sameProcess
}

func (r reading) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	r.of.refs.RLock()
	defer r.of.refs.RUnlock()
	return r.UploadPackSession.AdvertisedReferencesContext(ctx)
}

func (s *sameProcess) NewReceivePackSession(ep *transport.Endpoint, auth transport.AuthMethod) (transport.ReceivePackSession, error) {
	if hooked(ep) {
		return s.Transport.NewReceivePackSession(ep, auth)
	}
	repository, err := s.loader.Load(ep)
	if err != nil {
		return nil, err
	}
	session, err := server.NewClient(s.loader).NewReceivePackSession(ep, auth)
	if err != nil {
		return nil, err
	}
	return writing{session, s, repository}, nil
}

type writing struct {
	transport.ReceivePackSession
	of         *sameProcess
	repository storer.Storer
}

func (w writing) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	w.of.refs.RLock()
	defer w.of.refs.RUnlock()
	return w.ReceivePackSession.AdvertisedReferencesContext(ctx)
}

// ReceivePack refuses a push whose branch is elsewhere than the pusher thinks, as Git does and go-git does not.
func (w writing) ReceivePack(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	w.of.refs.Lock()
	defer w.of.refs.Unlock()
	for _, c := range req.Commands {
		at := plumbing.ZeroHash
		if ref, err := w.repository.Reference(c.Name); err == nil {
			at = ref.Hash()
		}
		if at != c.Old {
			refused := packp.NewReportStatus()
			refused.UnpackStatus = "ok"
			refused.CommandStatuses = []*packp.CommandStatus{{ReferenceName: c.Name, Status: server.ErrUpdateReference.Error()}}
			return refused, refused.Error()
		}
	}
	return w.ReceivePackSession.ReceivePack(ctx, req)
}
