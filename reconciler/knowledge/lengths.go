package knowledge

import (
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/spec"
)

// calm is how long vectors have to be of one length until it is forgotten that they were not.
const calm = time.Hour

// differs writes down that vectors of a source differ in length, and reports whether that is new.
func (k *Keeper) differs(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.kept[name]
	return one == nil || one.differ(k.opts.Now())
}

// differ is differs. Where it comes again and again, what is to follow waits longer and longer: all vectors are made again each time. The
// caller holds the keeper's mu.
func (one *kept) differ(now time.Time) bool {
	if now.Sub(one.differed) > calm {
		one.differences = 0
	}
	one.differed = now
	one.differences++
	one.failures = max(one.failures, one.differences-1)
	return one.differences == 1
}

// unlike says that a question's vector has another length than those of a source. From the next call of Keep on the model is asked once more,
// and where it has changed, all are made again.
func (k *Keeper) unlike(source *spec.KnowledgeSource) {
	k.mu.Lock()
	one := k.kept[source.Name]
	if one == nil || one.unlike || one.state.Reason != Indexed {
		k.mu.Unlock()
		return
	}
	one.unlike, one.next = true, k.opts.Now()
	if !one.differ(one.next) {
		one.next = one.next.Add(one.backoff())
	}
	s := one.state
	k.mu.Unlock()
	s.Reason, s.unlike = SourceUnavailable, true
	s.Message, _ = muted(source, errUnlike)
	k.set(source, s)
}

// errUnlike is the error of a model whose vector of a question is not as long as those of the source.
var errUnlike = errors.New("that of a question is not as long as those of the source, which are made again")

// muted says why a source has no vectors that can be used, and what to do; and until when, after the source's name.
func muted(source *spec.KnowledgeSource, err error) (why, until string) {
	const alone = "it is found by its words alone, for its model "
	if _, refused := errors.AsType[*spec.LockMismatch](err); refused {
		return alone + "is not asked: " + err.Error(), "until its model answers"
	}
	if _, differ := errors.AsType[*kb.LengthError](err); differ || errors.Is(err, errUnlike) {
		return fmt.Sprintf(alone+"%s makes vectors of different lengths: %v; where that goes on, have one model served under this name, and pin it with `mainstay lock`, or name another one under spec.embed in %s",
			source.Embed.Name, err, source.Place.File), "until its model makes vectors of one length"
	}
	return alone + "does not answer: " + err.Error(), "until its model answers"
}
