package child

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// childArg makes the test binary be the child.
const childArg = "__child"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		if err := Serve(os.Stdin, os.Stdout, answer); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var asked int

// answer does what it is asked.
func answer(request []byte) []byte {
	asked++
	switch string(request) {
	case "loop":
		for {
			asked++
		}
	case "end":
		os.Exit(3)
	case "end unless first":
		if asked > 1 {
			os.Exit(3)
		}
	case "grow":
		var all [][]byte
		for {
			all = append(all, make([]byte, 64<<20))
			asked += len(all)
		}
	case "long":
		return make([]byte, 2000)
	case "environment":
		return []byte(strings.Join(os.Environ(), " "))
	}
	return append([]byte("you said "), request...)
}

func open(t *testing.T, timeout time.Duration) *Session {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := Child{Command: []string{self, childArg}, Timeout: timeout, MaxAnswer: 1000}.Open()
	t.Cleanup(s.Close)
	return s
}

func TestASessionGoesOnAfterWhatEndsAProcess(t *testing.T) {
	t.Setenv("MAINSTAY_TEST_SECRET", "x")
	s := open(t, time.Minute)
	for _, c := range []struct {
		ask, want string
		err       error
	}{
		{"a", "you said a", nil}, {"", "you said ", nil}, {"environment", "", nil}, {"end", "", ErrEnded}, {"b", "you said b", nil},
		{"long", "", ErrTooLong}, {"c", "you said c", nil}, {"end unless first", "you said end unless first", nil},
	} {
		got, err := s.Ask(t.Context(), []byte(c.ask))
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("to %q the answer is %q, %v", c.ask, got, err)
		}
	}
}

func TestWhatLoopsIsKilled(t *testing.T) {
	s := open(t, 500*time.Millisecond)
	if _, err := s.Ask(t.Context(), []byte("loop")); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ask(ctx, []byte("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
