package repair_test

import (
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/repair"
)

// BenchmarkAToken is what one token of a text costs on its way to a person, lines and all.
func BenchmarkAToken(b *testing.B) {
	tokens := []string{"The ", "deploy", "ment ", "is ", "well", ".\n", "- ", "web: ", "42", " pods\n"}
	hold := repair.NewHold(model.Request{Tools: offered}, func(string) {})
	var repeats repair.Repeats
	i := 0
	for b.Loop() {
		hold.Write(tokens[i%len(tokens)])
		repeats.Write(tokens[(i*i)%7])
		i++
	}
}
