package index

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A table numbers strings as a map would, and sorts them, whatever their lengths are and wherever pieces of its text end.
func TestTableIsAMap(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 20).Draw(t, "long") == 0 {
			return strings.Repeat(rapid.StringMatching(`[a-c]`).Draw(t, "letter"), rapid.IntRange(maxKey-8, maxKey).Draw(t, "length"))
		}
		return rapid.StringMatching(`[a-c]{0,9}`).Draw(t, "short")
	})
	rapid.Check(t, func(t *rapid.T) {
		var x table
		numbers, inOrder := map[string]uint32{}, []string(nil)
		for _, k := range rapid.SliceOfN(key, 0, 300).Draw(t, "keys") {
			want, isKnown := numbers[k]
			if !isKnown {
				want = uint32(len(numbers))
				numbers[k], inOrder = want, append(inOrder, k)
			}
			if n, known := x.number(k); n != want || known != isKnown {
				t.Fatalf("%.20q is %d, known %t; want %d, %t", k, n, known, want, isKnown)
			}
		}
		keys, order := x.sorted()
		if want := slices.Sorted(slices.Values(inOrder)); !slices.Equal(keys, want) {
			t.Fatalf("sorted are %.40q, want %.40q", keys, want)
		}
		for n, k := range inOrder {
			if keys[order[n]] != k {
				t.Fatalf("%.20q is not at the place that is told", k)
			}
		}
	})
}

// Texts that fill pieces to their last bytes follow one another as others do.
func TestTableOfFullPieces(t *testing.T) {
	for length := range 40 {
		var x table
		for n := range uint32(20_000) {
			k := string([]byte{byte('a' + n%26), byte('a' + n/26%26), byte('a' + n/676%26), byte('a' + n/17576)}) + strings.Repeat("x", length)
			if got, known := x.number(k); got != n || known {
				t.Fatalf("length %d: %q is %d, known %t", length, k, got, known)
			}
		}
		if keys, _ := x.sorted(); len(keys) != 20_000 || !slices.IsSorted(keys) || keys[0] == "" {
			t.Fatalf("length %d: %d are sorted", length, len(keys))
		}
	}
}
