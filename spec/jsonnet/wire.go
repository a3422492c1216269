package jsonnet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Both sides write frames: four bytes of length, most significant first, and JSON.

// limits is the first frame that the parent writes. The child answers it with an empty Output once they hold, and only
// then is given a program.
type limits struct {
	// Memory is in bytes, CPU in seconds.
	Memory uint64 `json:"memory"`
	CPU    uint64 `json:"cpu"`
}

// job is what the child is asked. It answers with an Output.
type job struct {
	Entry string `json:"entry"`
	// Files are those that may be imported. They are bytes, because JSON would mend what is no UTF-8. Where they are nil,
	// those of the job before count.
	Files map[string][]byte `json:"files,omitempty"`
	// Format asks for the entry's text in good form instead, as a JSON string.
	Format bool `json:"format,omitempty"`
}

// The largest frames. That to the child holds all files, whose bytes are written as base64.
const (
	maxToChild   = 256 << 20
	maxFromChild = 64 << 20
)

var errFrame = errors.New("the frame is larger than it may be")

func writeFrame(w io.Writer, v any, most int) error {
	raw, err := json.Marshal(v)
	switch {
	case err != nil:
		return err
	case len(raw) > most:
		return errFrame
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw)))); err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

// readFrame returns io.EOF where there is no further frame.
func readFrame(r io.Reader, v any, most int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(most) {
		return errFrame
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return fmt.Errorf("read a frame: %w", err)
	}
	return json.Unmarshal(raw, v)
}
