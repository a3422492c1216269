package disk

import (
	"context"

	"github.com/mainstay-dev/mainstay/kb/index"
)

// taker takes documents into a segment, one after another, while further ones are read and embedded.
type taker struct {
	todo  chan func()
	ended chan struct{}
}

// ahead is how many documents are read at most that are not taken in.
const ahead = 4

// take begins to take documents into a segment. When that fails, it ends the context that it returns, and the error is its cause.
func take(ctx context.Context, to *index.Writer) (context.Context, *taker) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &taker{make(chan func(), ahead), make(chan struct{})}
	go func() {
		defer close(t.ended)
		defer cancel(nil)
		for do := range t.todo {
			if to.Err() == nil {
				do()
			}
			if err := to.Err(); err != nil {
				cancel(err)
			}
		}
	}()
	return ctx, t
}

// then does something with the segment, after what came before.
func (t *taker) then(do func()) { t.todo <- do }

// end waits until all is done. Nothing is done afterwards.
func (t *taker) end() {
	close(t.todo)
	<-t.ended
}
