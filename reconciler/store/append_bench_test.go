package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// BenchmarkAppend is one write to a record, by as many writers at once as there are runs that are worked on. Those that come while
// another is on its way reach the disk together.
func BenchmarkAppend(b *testing.B) {
	text := strings.Repeat("x", 512)
	for _, writers := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, Options{})
			next := make(chan struct{})
			failed := make(chan error, writers)
			for w := range writers {
				go func() {
					var last uint64
					var err error
					for range next {
						if last, err = s.Append(b.Context(), spec.RunID(fmt.Sprint("r", w)), last, entry(1, text)); err != nil {
							break
						}
					}
					for range next { // so that the benchmark ends
					}
					failed <- err
				}()
			}
			for b.Loop() {
				next <- struct{}{}
			}
			close(next)
			for range writers {
				if err := <-failed; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
