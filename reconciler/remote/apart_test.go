package remote

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"pgregory.net/rapid"
)

// What lies between the entries that two trees have in common is what a whole comparison finds.
func TestLargeTreesDifferInTheSameNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,4}(\.[a-c])?`), 0, 30, func(s string) string { return s }).Draw(t, "names")
		var trees [2][]entry
		for i, name := range names {
			// Most are in both, and a few are others, or in one alone.
			e := entry{name: name, mode: filemode.Regular, hash: plumbing.Hash{1, byte(i)}}
			if rapid.Bool().Draw(t, "folder") {
				e.mode = filemode.Dir
			}
			other := e
			switch rapid.IntRange(0, 9).Draw(t, "change") {
			case 0:
				other.hash[2] = 0
				other.hash[3] = 7
			case 1:
				other.mode = filemode.Executable
			case 2:
				trees[0] = append(trees[0], e)
				continue
			case 3:
				trees[1] = append(trees[1], e)
				continue
			}
			trees[0], trees[1] = append(trees[0], e), append(trees[1], other)
		}
		found := func(a, b *tree) map[string][2]entry {
			differ := maps.Collect(pairs(a, b))
			maps.DeleteFunc(differ, func(_ string, p [2]entry) bool { return p[0].same(p[1]) })
			return differ
		}
		rawA, rawB := encodeTree(trees[0]), encodeTree(trees[1])
		wholeA, err := parseTree(rawA)
		if err != nil {
			t.Fatal(err)
		}
		wholeB, err := parseTree(rawB)
		if err != nil {
			t.Fatal(err)
		}
		left, right, ok := apart(rawA, rawB)
		if !ok {
			t.Fatalf("%v and %v are said to be out of order", names, names)
		}
		if got, want := found(left, right), found(wholeA, wholeB); !maps.Equal(got, want) {
			t.Fatalf("it differs in %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	})
}

func TestTreesOutOfOrderAreDecodedAsAWhole(t *testing.T) {
	raw := func(names ...string) []byte {
		var b []byte
		for _, name := range names {
			b = append(fmt.Appendf(b, "100644 %s\x00", name), make([]byte, 20)...)
		}
		return b
	}
	for _, test := range [][2][]byte{
		{raw("a", "c"), raw("a", "d", "b", "c")},
		{raw("a", "c"), raw("a", "a", "c")},
		{raw("a", "c"), raw("a", "c", "c")},
		{raw("b"), raw("b", "a")},
		{raw("a"), raw("a", "b")[:30]},
	} {
		if _, _, ok := apart(test[0], test[1]); ok {
			t.Errorf("%q and %q are compared", test[0], test[1])
		}
	}
}

func FuzzTreesAreComparedOrRefused(f *testing.F) {
	f.Add([]byte("100644 a\x0001234567890123456789"), []byte("100644 a\x0001234567890123456788"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		left, right, ok := apart(a, b)
		wholeA, errA := parseTree(a)
		wholeB, errB := parseTree(b)
		if !ok || errA != nil || errB != nil {
			return
		}
		for name, pair := range maps.Collect(pairs(wholeA, wholeB)) {
			l, _ := left.find(name)
			r, _ := right.find(name)
			if !pair[0].same(pair[1]) && (l != pair[0] || r != pair[1]) {
				t.Fatalf("%q differs and is not found", name)
			}
		}
	})
}
