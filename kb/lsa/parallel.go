package lsa

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls f for parts of n that follow one another, each of so many at most, on all processors, and returns when all are done. What f
// makes of a part must not depend on others.
func Each(n, part int, f func(from, to int)) {
	parts := (n + part - 1) / part
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < parts; i = int(next.Add(1)) - 1 {
			f(i*part, min((i+1)*part, n))
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), parts) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
