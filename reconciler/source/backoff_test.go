package source

import (
	"testing"
	"time"
)

func TestDelayDoublesUpToFiveMinutes(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		failures int
		want     time.Duration
	}{
		{30 * time.Second, 0, 30 * time.Second},
		{30 * time.Second, 1, 30 * time.Second},
		{30 * time.Second, 2, time.Minute},
		{30 * time.Second, 4, 4 * time.Minute},
		{30 * time.Second, 5, 5 * time.Minute},
		{30 * time.Second, 1 << 30, 5 * time.Minute},
		{time.Hour, 3, time.Hour},
		{0, 1, time.Second},
	} {
		if got := (Backoff{Interval: tt.interval}).Delay(tt.failures); got != tt.want {
			t.Errorf("every %s after %d failures: got %s, want %s", tt.interval, tt.failures, got, tt.want)
		}
	}
}

func TestDelayIsMovedByUpToATenth(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 54 * time.Second, 0.5: time.Minute, 1: 66 * time.Second} {
		b := Backoff{Interval: time.Minute, Random: func() float64 { return random }}
		if got := b.Delay(1); got != want {
			t.Errorf("with %v: got %s, want %s", random, got, want)
		}
	}
}
