package tool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/mark3labs/mcp-go/client/transport"
)

// errNotWritten means that not a byte of a message has been given to the server.
var errNotWritten = errors.New("the server takes no more input")

// maxQueued bounds the bytes of the messages that wait until a server reads them. It is far more than a burst of calls
// takes, and one message always fits.
const maxQueued = 16 << 20

// input writes to a server's stdin in the background, so that a server that does not read holds up no caller.
type input struct {
	mu      sync.Mutex
	queue   [][]byte
	waiting int           // bytes in queue
	more    chan struct{} // has an element when queue has
	ended   chan struct{}
	once    sync.Once
}

func newInput(pipe io.WriteCloser) *input {
	in := &input{more: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		for {
			select {
			case <-in.more:
				for _, message := range in.take() {
					if _, err := pipe.Write(message); err != nil {
						in.Close()
						return
					}
				}
			case <-in.ended:
				return
			}
		}
	}()
	go func() {
		<-in.ended
		pipe.Close()
	}()
	return in
}

func (in *input) take() [][]byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	taken := in.queue
	in.queue, in.waiting = nil, 0
	return taken
}

// Write queues one message. An error means that nothing of it was or will be written.
func (in *input) Write(message []byte) (int, error) {
	select {
	case <-in.ended:
		return 0, errNotWritten
	default:
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.waiting > 0 && in.waiting+len(message) > maxQueued {
		return 0, errNotWritten
	}
	in.queue = append(in.queue, bytes.Clone(message))
	in.waiting += len(message)
	select {
	case in.more <- struct{}{}:
	default:
	}
	return len(message), nil
}

// Close ends the server's input.
func (in *input) Close() error {
	in.once.Do(func() { close(in.ended) })
	return nil
}

// delivery is what became of one call's messages on the wire.
type delivery struct {
	// not is set while the server has not been given the call.
	not bool
	// refused is the message of a JSON-RPC error that answered the call.
	refused string
}

type deliveryKey struct{}

func withDelivery(ctx context.Context, d *delivery) context.Context {
	d.not = true
	return context.WithValue(ctx, deliveryKey{}, d)
}

// wire notes what became of a call, which the MCP client's errors do not tell.
type wire struct {
	*transport.Stdio
	closing <-chan struct{}
}

// SendRequest sends one request and waits for its answer.
func (w *wire) SendRequest(ctx context.Context, request transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	d, _ := ctx.Value(deliveryKey{}).(*delivery)
	if d == nil {
		return w.Stdio.SendRequest(ctx, request)
	}
	select {
	case <-w.closing:
		return nil, errNotWritten
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
	}
	response, err := w.Stdio.SendRequest(ctx, request)
	if !errors.Is(err, errNotWritten) {
		d.not = false
	}
	if err == nil && response.Error != nil {
		d.refused = response.Error.Message
		if d.refused == "" {
			d.refused = "the server answered with an error without a message"
		}
	}
	return response, err
}
