package vectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var nan, infinite = float32(math.NaN()), float32(math.Inf(1))

func TestVectorsHaveLengthOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vector := rapid.SliceOfN(rapid.Float32Range(-2, 2), 1, 50).Draw(t, "vector")
		for i, x := range vector {
			vector[i] = float32(math.Round(float64(x*1000))) / 1024
		}
		s, err := New(len(vector))
		if err != nil {
			t.Fatal(err)
		}
		// Doubling changes no digit: huge and tiny vectors are kept like others.
		for _, power := range []int{0, 100, -100} {
			scaled := slices.Clone(vector)
			for i, x := range scaled {
				scaled[i] = float32(math.Ldexp(float64(x), power))
			}
			if err := s.Add(scaled); err != nil {
				t.Fatal(err)
			}
		}
		length := 0.0
		for _, x := range s.Row(0) {
			length += float64(x) * float64(x)
		}
		zero := !slices.ContainsFunc(vector, func(x float32) bool { return x != 0 })
		if want := map[bool]float64{false: 1}[zero]; math.Abs(length-want) > 1e-6 {
			t.Fatalf("the square of the length is %v, want %v", length, want)
		}
		for i := range s.Len() {
			if !slices.Equal(s.Row(i), s.Row(0)) || s.Scales()[i] != s.Scales()[0] || !slices.Equal(s.Cells()[i*s.Dims():(i+1)*s.Dims()], s.Cells()[:s.Dims()]) {
				t.Fatalf("%v is kept as %v, and longer or shorter as %v", vector, s.Row(0), s.Row(i))
			}
		}
		// A cell is as near as it can be, and the largest one is 127.
		for i, x := range s.Row(0) {
			if d := float64(x) - float64(s.Scales()[0])*float64(s.Cells()[i]); math.Abs(d) > .5001*float64(s.Scales()[0]) {
				t.Fatalf("%v is kept as %d of %v", x, s.Cells()[i], s.Scales()[0])
			}
		}
		if largest := max(slices.Max(s.Cells()), -slices.Min(s.Cells())); zero && largest != 0 || !zero && largest != 127 {
			t.Fatalf("the largest cell is %d", largest)
		}
	})
}

func TestTheLargestAndTheSmallestNumbers(t *testing.T) {
	s, err := New(3)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []float32{math.MaxFloat32, math.SmallestNonzeroFloat32} {
		if err := s.Add([]float32{x, 0, -x}); err != nil {
			t.Fatal(err)
		}
		if row := s.Row(s.Len() - 1); math.Abs(float64(row[0])-math.Sqrt2/2) > 1e-6 || row[1] != 0 || row[2] != -row[0] {
			t.Errorf("%v, nothing and -%v are kept as %v", x, x, row)
		}
	}
}

func TestWhatIsNoVectorIsRefused(t *testing.T) {
	s, err := New(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add([]float32{3, 4}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		vector []float32
		want   string
	}{
		{nil, "a vector of 0 numbers: those before it have 2"},
		{[]float32{1, 2, 3}, "a vector of 3 numbers: those before it have 2"},
		{[]float32{1, nan}, "number 1 of a vector is NaN: all have to be finite"},
		{[]float32{-infinite, 1}, "number 0 of a vector is -Inf: all have to be finite"},
	} {
		if err := s.Add(c.vector); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.vector, err, c.want)
		}
	}
	if s.Len() != 1 || len(s.Cells()) != 2 || len(s.Exact()) != 2 {
		t.Errorf("a vector that is refused is kept: %v", s.Exact())
	}
	for _, dims := range []int{-1, 0, MaxDims + 1} {
		if _, err := New(dims); err == nil || !strings.Contains(err.Error(), "they have 1 to 65536") {
			t.Errorf("%d numbers: %v", dims, err)
		}
	}
}

func TestASetIsReadAsItIsKept(t *testing.T) {
	s := made(t, 100, 33, random(rand.New(rand.NewPCG(1, 2)), 33))
	again, err := Of(33, s.Cells(), s.Scales(), s.Exact())
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(33)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Len() {
		if err := other.Copy(again, i); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(other.Cells(), s.Cells()) || !slices.Equal(other.Scales(), s.Scales()) || !slices.Equal(other.Exact(), s.Exact()) {
		t.Error("a Set that was kept, read and copied is another one")
	}
	// What is kept is not written to, though there is space behind it.
	cells := make([]int8, 1, 2)
	one, err := Of(1, cells, []float32{0}, []float32{0})
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Add([]float32{1}); err != nil || cells[:2][1] != 0 {
		t.Errorf("%v: what is behind the cells is written to: %v", err, cells[:2])
	}
	if err := one.Copy(s, 0); err == nil || err.Error() != "a vector of 33 numbers: those before it have 1" {
		t.Error(err)
	}
}

func TestWhatIsNoSetIsRefused(t *testing.T) {
	cells, scales, exact := make([]int8, 6), make([]float32, 2), make([]float32, 6)
	for _, c := range []struct {
		name   string
		dims   int
		cells  []int8
		scales []float32
		exact  []float32
	}{
		{"no dimensions", 0, nil, nil, nil},
		{"other dimensions", 2, cells, scales, exact},
		{"half a row", 3, cells[:5], scales, exact[:5]},
		{"more scales", 3, cells[:3], scales, exact[:3]},
		{"fewer floats", 3, cells, scales, exact[:5]},
		{"more floats", 3, cells[:3], scales[:1], exact},
		{"a negative scale", 3, cells, []float32{0, -1}, exact},
		{"no number", 3, cells, []float32{0, nan}, exact},
		{"a huge scale", 3, cells, []float32{infinite, 0}, exact},
	} {
		if s, err := Of(c.dims, c.cells, c.scales, c.exact); err == nil || s != nil {
			t.Errorf("%s: no error", c.name)
		}
	}
	if _, err := Of(3, cells, scales, exact); err != nil {
		t.Error(err)
	}
}

func TestRows(t *testing.T) {
	r := NewRows(65)
	for _, i := range []int{0, 63, 64} {
		r.Add(i)
	}
	r.Remove(63)
	var have []int
	for i := range 300 {
		if r.Has(i) {
			have = append(have, i)
		}
	}
	if !slices.Equal(have, []int{0, 64}) {
		t.Errorf("%v", have)
	}
}
