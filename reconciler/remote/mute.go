package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// answers is how long a server may take until it has listed its branches and tags, with which every exchange begins. One that says nothing
// would otherwise hold up whoever waits for it for the whole Timeout, and over SSH, whose client takes no context, for ever.
const answers = time.Minute

// errMute is the error of a server that took longer.
type errMute struct{ after time.Duration }

func (e errMute) Error() string {
	return fmt.Sprintf("it has not answered for %s (check the URL, and that this machine may connect to it)", e.after)
}

// impatient is a transport that waits for the begin of an exchange only for so long.
type impatient struct {
	transport.Transport
	most time.Duration
}

func (i impatient) NewUploadPackSession(e *transport.Endpoint, auth transport.AuthMethod) (transport.UploadPackSession, error) {
	s, err := soon(i.most, func() (transport.UploadPackSession, error) { return i.Transport.NewUploadPackSession(e, auth) })
	if err != nil {
		return nil, err
	}
	return impatientFetch{s, i.most}, nil
}

func (i impatient) NewReceivePackSession(e *transport.Endpoint, auth transport.AuthMethod) (transport.ReceivePackSession, error) {
	s, err := soon(i.most, func() (transport.ReceivePackSession, error) { return i.Transport.NewReceivePackSession(e, auth) })
	if err != nil {
		return nil, err
	}
	return impatientPush{s, i.most}, nil
}

type impatientFetch struct {
	transport.UploadPackSession
	most time.Duration
}

func (s impatientFetch) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	return listedSoon(ctx, s.UploadPackSession, s.most)
}

type impatientPush struct {
	transport.ReceivePackSession
	most time.Duration
}

func (s impatientPush) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	return listedSoon(ctx, s.ReceivePackSession, s.most)
}

// soon begins a session. One that takes too long is left behind, and ends when its connection does.
func soon[S transport.Session](most time.Duration, begin func() (S, error)) (S, error) {
	type begun struct {
		session S
		err     error
	}
	begins := make(chan begun, 1)
	go func() {
		s, err := begin()
		begins <- begun{s, err}
	}()
	select {
	case b := <-begins:
		return b.session, b.err
	case <-time.After(most):
	}
	go func() {
		if b := <-begins; b.err == nil {
			_ = b.session.Close() // Nobody waits for it any more.
		}
	}()
	var none S
	return none, errMute{most}
}

// listedSoon has a session list its branches and tags.
func listedSoon(ctx context.Context, s transport.Session, most time.Duration) (*packp.AdvRefs, error) {
	within, cancel := context.WithTimeoutCause(ctx, most, errMute{most})
	defer cancel()
	refs, err := s.AdvertisedReferencesContext(within)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(within), errMute{most}) {
		return nil, context.Cause(within)
	}
	return refs, err
}
