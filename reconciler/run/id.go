package run

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/mainstay-dev/mainstay/spec"
)

// NewID makes the id of a new run from the time, in milliseconds, and ten bytes of entropy. Where entropy fails, zeros
// take its place: a second run with the same id is then refused when it is recorded.
func NewID(now time.Time, entropy io.Reader) spec.RunID {
	var random [10]byte
	_, _ = io.ReadFull(entropy, random[:]) // See above.
	return id(now, random[:])
}

// DerivedID makes the id of a run from what makes it due, so that everyone who starts the same run gives it the same id.
// The time must be of the cause too, and not the clock's.
func DerivedID(at time.Time, parts ...string) spec.RunID {
	h := sha256.New()
	for _, part := range parts {
		// The length keeps ("ab", "c") and ("a", "bc") apart.
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		io.WriteString(h, part)
	}
	return id(at, h.Sum(nil)[:10])
}

// Began is the time that an id of a run was made of, in milliseconds, and false where it is no such id.
func Began(run spec.RunID) (time.Time, bool) {
	u, err := ulid.ParseStrict(strings.ToUpper(string(run)))
	if err != nil {
		return time.Time{}, false
	}
	return u.Timestamp().UTC(), true
}

func id(at time.Time, random []byte) spec.RunID {
	var u ulid.ULID
	ms := uint64(max(at.UnixMilli(), 0))
	_ = u.SetTime(min(ms, ulid.MaxTime())) // It fails only beyond MaxTime.
	copy(u[6:], random)
	return spec.RunID(strings.ToLower(u.String()))
}
