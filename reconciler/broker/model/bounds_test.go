package model

import (
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// TestAServerIsNotBelievedEverythingAboutTokens checks that no count can make a sum of many answers overflow, or take away from it.
func TestAServerIsNotBelievedEverythingAboutTokens(t *testing.T) {
	var a Answer
	a.use(spec.Usage{Input: 1 << 62, Output: -5, Cached: -1, Reasoning: 1 << 40, Busy: -1})
	if want := (spec.Usage{Input: maxTokens, Reasoning: maxTokens}); a.Used != want {
		t.Errorf("got %+v", a.Used)
	}
}
