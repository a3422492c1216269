package tool

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestABurstOfMessagesWaitsForTheServer(t *testing.T) {
	read, write := io.Pipe()
	in := newInput(write)
	defer in.Close()
	const burst = 1000
	var want []byte
	for i := range burst {
		message := []byte{byte(i), '\n'}
		want = append(want, message...)
		if _, err := in.Write(message); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(read, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the server reads something else than what was written, %v", err)
	}
}

func TestAServerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	_, write := io.Pipe()
	in := newInput(write)
	message := make([]byte, maxQueued/4)
	refused := false
	for range 10 {
		if _, err := in.Write(message); errors.Is(err, errNotWritten) {
			refused = true
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !refused {
		t.Error("more than the bound waits")
	}
	in.Close()
	if _, err := in.Write([]byte("x")); !errors.Is(err, errNotWritten) {
		t.Errorf("got %v after Close", err)
	}
}
