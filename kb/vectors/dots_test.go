package vectors

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// ask makes the cells of a question.
func ask(numbers []int8) *cells {
	c := &cells{dims: len(numbers), padded: slices.Clone(numbers)}
	for _, x := range numbers {
		c.sum += int32(x)
	}
	c.padded = append(c.padded, make([]int8, -len(numbers)&(padding-1))...)
	return c
}

// byWord tells what kernels tell, in the plainest way.
func byWord(rows []int8, to *cells, count int) []int32 {
	out := make([]int32, count)
	for i := range out {
		sum := int64(0)
		for j := range to.dims {
			sum += int64(rows[i*to.dims+j]) * int64(to.padded[j])
		}
		if sum != int64(int32(sum)) {
			panic("too large for 32 bits")
		}
		out[i] = int32(sum)
	}
	return out
}

func TestAllKernelsTellTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims, count := rapid.IntRange(1, 800).Draw(t, "dims"), rapid.IntRange(0, 5).Draw(t, "rows")
		number := rapid.OneOf(rapid.Int8(), rapid.SampledFrom([]int8{-128, -127, 0, 127}))
		rows := rapid.SliceOfN(number, dims*count, dims*count).Draw(t, "cells")
		numbers := rapid.SliceOfN(number, dims, dims).Draw(t, "question")
		for i, x := range numbers {
			numbers[i] = max(x, -127)
		}
		to := ask(numbers)
		want := byWord(rows, to, count)
		for _, k := range kernels() {
			// What was there before is not added to, and what is behind is left.
			out := slices.Repeat([]int32{7}, count+1)
			if k.dots(rows, to, out[:count]); !slices.Equal(out[:count], want) || out[count] != 7 {
				t.Fatalf("%s: %v, want %v", k.name, out, want)
			}
		}
	})
}

// Neither do the sums of two products, which AVX2 keeps in 16 bits, nor those of all of them go beyond their numbers.
func TestTheLargestProductsFit(t *testing.T) {
	for _, dims := range []int{1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 767, 768, MaxDims - 1, MaxDims} {
		for _, row := range []int8{-128, -127, 127} {
			for _, q := range []int8{-127, 127} {
				rows, to := slices.Repeat([]int8{row}, 2*dims), ask(slices.Repeat([]int8{q}, dims))
				want := byWord(rows, to, 2)
				for _, k := range kernels() {
					out := make([]int32, 2)
					if k.dots(rows, to, out); !slices.Equal(out, want) {
						t.Errorf("%d of %d · %d: %s tells %v, want %v", dims, row, q, k.name, out, want)
					}
				}
			}
		}
	}
	if most := int64(MaxDims) * 128 * 127; most > math.MaxInt32 {
		t.Errorf("%d is too large for 32 bits", most)
	}
}

func TestFloatsAreMultipliedInOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims := rapid.IntRange(1, 100).Draw(t, "dims")
		number := rapid.Float32Range(-1, 1)
		a, b := rapid.SliceOfN(number, dims, dims).Draw(t, "a"), rapid.SliceOfN(number, dims, dims).Draw(t, "b")
		exact := 0.0
		for i, x := range a {
			exact += float64(x) * float64(b[i])
		}
		got := dotExact(a, b)
		if math.Abs(float64(got)-exact) > 1e-5*float64(dims) {
			t.Fatalf("%v, want %v", got, exact)
		}
		// Vectors are compared the same wherever they lie in memory.
		if again := dotExact(append(make([]float32, 3, 3+dims), a...)[3:], b); again != got {
			t.Fatalf("%v and %v", got, again)
		}
	})
}
