package child

import (
	"errors"
	"testing"
	"time"
)

func TestWhatGrowsWithoutEndEndsTheProcess(t *testing.T) {
	s := open(t, time.Minute)
	if _, err := s.Ask(t.Context(), []byte("grow")); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v", err)
	}
}
