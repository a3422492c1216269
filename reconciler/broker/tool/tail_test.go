package tool

import (
	"strconv"
	"strings"
	"testing"
)

// TestTheTailHoldsNoSecret writes more than is kept, so that what is kept may begin anywhere in a secret, and in pieces, so
// that each may end in one.
func TestTheTailHoldsNoSecret(t *testing.T) {
	const secret = "-----BEGIN KEY-----\nhunter2-1\nhunter2-2\n-----END KEY-----\n"
	for _, text := range []string{secret, strings.TrimSpace(secret), strconv.Quote(secret) + "\n"} {
		for offset := range len(text) {
			tail := newTail([]string{secret})
			all := text + "\nthe end" + strings.Repeat(".", maxStderr-len("\nthe end")-offset) + "\nlast words"
			for len(all) > 0 {
				n := min(len(all), 1+offset)
				if _, err := tail.Write([]byte(all[:n])); err != nil {
					t.Fatal(err)
				}
				all = all[n:]
			}
			if got := tail.String(); strings.Contains(got, "hunter2") || !strings.HasSuffix(got, "\nlast words") && got != "last words" {
				t.Fatalf("cut at %d of %q: %.100q", offset, text, got)
			}
		}
	}
}

// TestTheTailIsWhole asks what is kept while the text may go on as a secret would.
func TestTheTailIsWhole(t *testing.T) {
	tail := newTail([]string{"hunter2", "k"})
	for _, step := range []struct{ write, want string }{{"it is hunt", "it is hunt"}, {"er", "it is hunter"}, {"2!", "it is [redacted]!"}, {"ok", "it is [redacted]!o[redacted]"}} {
		tail.Write([]byte(step.write))
		if got := tail.String(); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}
