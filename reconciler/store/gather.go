package store

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A write is on the disk before it returns, and the disk takes one at a time. So those that come while one is on its way go
// together: as one batch of the server, which reaches the disk once for all of them
// (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md).

const (
	// fewest is how many writes are worth a batch, which the server keeps in a file of its own first.
	fewest = 32
	// mostGathered and mostBytes bound a batch. The server takes no more than a thousand messages.
	mostGathered = 500
	mostBytes    = 4 << 20
)

// The headers of a batch.
const (
	batchID     = "Nats-Batch-Id"
	batchSeq    = "Nats-Batch-Sequence"
	batchCommit = "Nats-Batch-Commit"
)

// gather publishes messages, those together that come at once.
type gather struct {
	writes context.Context // ends when the server takes no more
	js     jetstream.JetStream

	mu      sync.Mutex
	waiting []*publishing
	busy    bool
}

// publishing is a message on its way into a stream.
type publishing struct {
	msg *nats.Msg
	// after is the position of the last message with this subject.
	after uint64
	seq   uint64
	err   error
	done  chan struct{}
}

// publish returns the position of the message once it is on the disk.
func (g *gather) publish(subject string, data []byte, after uint64) (uint64, error) {
	p := &publishing{msg: nats.NewMsg(subject), after: after, done: make(chan struct{})}
	p.msg.Data = data
	g.mu.Lock()
	if g.busy {
		g.waiting = append(g.waiting, p)
		g.mu.Unlock()
		<-p.done
		return p.seq, p.err
	}
	g.busy = true
	g.mu.Unlock()
	p.seq, p.err = g.alone(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy = len(g.waiting) > 0; g.busy {
		go g.work() // for those who have come meanwhile
	}
	return p.seq, p.err
}

// work publishes until nothing waits.
func (g *gather) work() {
	for {
		g.mu.Lock()
		n, bytes := 0, 0
		for n < min(len(g.waiting), mostGathered) && (n == 0 || bytes+len(g.waiting[n].msg.Data) <= mostBytes) {
			bytes += len(g.waiting[n].msg.Data)
			n++
		}
		some := g.waiting[:n:n]
		if g.waiting = g.waiting[n:]; n == 0 {
			g.waiting, g.busy = nil, false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		if len(some) < fewest || !g.together(some) {
			for _, p := range some {
				p.seq, p.err = g.alone(p)
			}
		}
		for _, p := range some {
			close(p.done)
		}
	}
}

func (g *gather) alone(p *publishing) (uint64, error) {
	ctx, cancel := context.WithTimeout(g.writes, writeTime)
	defer cancel()
	ack, err := g.js.PublishMsg(ctx, p.msg, jetstream.WithExpectLastSequencePerSubject(p.after))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// together publishes messages as one batch. It reports whether it is known what has become of them: where the server refuses
// one it has taken none, and they are published one by one, so that each learns its own error.
func (g *gather) together(some []*publishing) bool {
	id := nats.NewInbox() // a name that nobody else has
	var ack *jetstream.PubAck
	var err error
	for i, p := range some {
		msg := &nats.Msg{Subject: p.msg.Subject, Data: p.msg.Data, Header: nats.Header{
			batchID: {id}, batchSeq: {strconv.Itoa(i + 1)},
			jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(p.after, 10)},
		}}
		if i < len(some)-1 {
			err = g.js.Conn().PublishMsg(msg)
		} else {
			msg.Header.Set(batchCommit, "1")
			ctx, cancel := context.WithTimeout(g.writes, writeTime)
			ack, err = g.js.PublishMsg(ctx, msg)
			cancel()
		}
		if err != nil {
			break
		}
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		return false
	}
	for i, p := range some {
		if p.err = err; err == nil {
			p.seq = ack.Sequence - uint64(len(some)-1-i)
		}
	}
	return true
}
