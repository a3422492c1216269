package source

import "time"

// maxDelay is the longest that a failing remote is left alone.
const maxDelay = 5 * time.Minute

// Backoff says how long to wait before the next attempt.
type Backoff struct {
	// Interval is the wait while all goes well, and after the first failure.
	Interval time.Duration
	// Random returns a number from 0 up to 1; nil leaves the waits as they are.
	Random func() float64
}

// Delay returns the wait after a number of failures in a row. It doubles with each, up to 5 minutes or Interval if that is
// longer, and is then moved by up to a tenth either way, so that many reconcilers do not come back at once.
func (b Backoff) Delay(failures int) time.Duration {
	most := max(maxDelay, b.Interval)
	d := b.Interval
	if d <= 0 {
		d = time.Second
	}
	for range failures - 1 {
		if d >= most {
			break
		}
		d *= 2
	}
	d = min(d, most)
	if b.Random == nil {
		return d
	}
	return time.Duration(float64(d) * (0.9 + 0.2*b.Random()))
}
