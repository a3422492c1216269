package vectors

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// find asks for neighbours with a kernel.
func find(t interface{ Fatal(...any) }, k kernel, in *Set, question []float32, live Rows, most int) []Neighbour {
	s := Search{kernel: k}
	if err := s.Ask(question); err != nil {
		t.Fatal(err)
	}
	by, err := s.Nearest(context.Background(), in, live, most, nil)
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// vector draws one: of ordinary numbers, of huge and tiny ones, or of zeros.
func vector(t *rapid.T, dims int, name string) []float32 {
	number := rapid.SampledFrom([]*rapid.Generator[float32]{rapid.Float32Range(-1, 1), rapid.Float32(), rapid.SampledFrom([]float32{-1e38, 0, 1e-45, 1e38}), rapid.Just[float32](0)}).Draw(t, name+" of")
	return rapid.SliceOfN(number, dims, dims).Draw(t, name)
}

func TestAllKernelsFindTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims, count := rapid.IntRange(1, 140).Draw(t, "dims"), rapid.IntRange(0, 200).Draw(t, "rows")
		in, err := New(dims)
		if err != nil {
			t.Fatal(err)
		}
		// A few vectors, again and again: many rows are as near as others.
		few := make([][]float32, rapid.IntRange(1, 6).Draw(t, "different"))
		for i := range few {
			few[i] = vector(t, dims, "vector")
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for range count {
			v := slices.Clone(few[r.IntN(len(few))])
			if r.IntN(2) == 0 {
				v[r.IntN(dims)] = float32(r.NormFloat64())
			}
			if err := in.Add(v); err != nil {
				t.Fatal(err)
			}
		}
		var live Rows
		if share := rapid.SampledFrom([]float64{0, .1, .5, .9, 2}).Draw(t, "live"); share < 2 {
			live = NewRows(rapid.IntRange(0, count).Draw(t, "rows that may be live"))
			for i := range 64 * len(live) {
				if r.Float64() < share {
					live.Add(i) // some beyond the last one
				}
			}
		}
		most := rapid.IntRange(0, 60).Draw(t, "most")
		question := vector(t, dims, "question")
		want := find(t, scalar, in, question, live, most)
		for _, k := range kernels() {
			if by := find(t, k, in, question, live, most); !slices.Equal(by, want) {
				t.Fatalf("%s finds %v, scalar %v", k.name, by, want)
			}
		}
		// What is found is what the floats of all say.
		var s Search
		if err := s.Ask(question); err != nil {
			t.Fatal(err)
		}
		var all []Neighbour
		for _, n := range byFloats(&s, in, count) {
			if live == nil || live.Has(n.Row) {
				all = append(all, n)
			}
		}
		if s.zero || most == 0 {
			all = nil
		}
		if !slices.Equal(want, all[:min(most, len(all))]) {
			t.Fatalf("finds %v, want %v", want, all)
		}
	})
}

// The cosine of every row is where its bytes say that it may be.
func TestBytesBoundCosines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, err := New(rapid.IntRange(1, 200).Draw(t, "dims"))
		if err != nil {
			t.Fatal(err)
		}
		for range lot {
			if err := in.Add(vector(t, in.Dims(), "vector")); err != nil {
				t.Fatal(err)
			}
		}
		var s Search
		if err := s.Ask(vector(t, in.Dims(), "question")); err != nil {
			t.Fatal(err)
		}
		s.lower.reset(lot)
		s.compare(in, 0, ^uint64(0))
		if len(s.maybe) != lot {
			t.Fatalf("%d rows, want %d", len(s.maybe), lot)
		}
		for _, c := range s.maybe {
			if cosine := s.Cosine(in, c.row); cosine < c.lower || cosine > c.upper {
				t.Fatalf("row %d: %v is not from %v to %v", c.row, cosine, c.lower, c.upper)
			}
		}
	})
}

func TestTheNearestAreFound(t *testing.T) {
	const dims = 128
	for name, next := range map[string]func([]float32){
		"clustered": clustered(rand.New(rand.NewPCG(1, 2)), dims, 20),
		"random":    random(rand.New(rand.NewPCG(1, 2)), dims),
		// Their bytes say nothing of which is nearer.
		"nearly the same": nearlyTheSame(rand.New(rand.NewPCG(1, 2)), dims),
	} {
		if got := recall(t, made(t, 10_000, dims, next), 50, next); got != 1 {
			t.Errorf("%s: of the ten nearest %v are found", name, got)
		}
	}
}

func TestNoNeighboursOfNothing(t *testing.T) {
	in := made(t, 3, 2, random(rand.New(rand.NewPCG(1, 2)), 2))
	var s Search
	if _, err := s.Nearest(t.Context(), in, nil, 3, nil); err == nil || err.Error() != "a question of 0 numbers to vectors of 2" {
		t.Errorf("before there is a question: %v", err)
	}
	for want, question := range map[string][]float32{
		"a vector of 0 numbers: they have 1 to 65536":         {},
		"number 0 of a vector is NaN: all have to be finite":  {nan, 1},
		"number 1 of a vector is +Inf: all have to be finite": {1, infinite},
		"a vector of 65537 numbers: they have 1 to 65536":     make([]float32, MaxDims+1),
		"a question of 3 numbers to vectors of 2":             {1, 2, 3},
	} {
		err := s.Ask(question)
		if err == nil {
			_, err = s.Nearest(t.Context(), in, nil, 3, nil)
		} else if _, after := s.Nearest(t.Context(), in, nil, 3, nil); after == nil {
			t.Errorf("%s: a question that is refused is asked", want)
		}
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if by := find(t, scalar, in, []float32{0, 0}, nil, 3); by != nil {
		t.Errorf("zeros find %v", by)
	}
	if by := find(t, scalar, in, []float32{1, 0}, nil, -1); by != nil {
		t.Errorf("less than none are %v", by)
	}
}

func TestNeighboursAreAppended(t *testing.T) {
	in := made(t, 3, 2, random(rand.New(rand.NewPCG(1, 2)), 2))
	var s Search
	if err := s.Ask([]float32{1, 0}); err != nil {
		t.Fatal(err)
	}
	first := Neighbour{Row: 9, Cosine: 9}
	by, err := s.Nearest(t.Context(), in, nil, 2, []Neighbour{first})
	if err != nil || len(by) != 3 || by[0] != first || by[1].Cosine < by[2].Cosine || by[1].Cosine != s.Cosine(in, by[1].Row) {
		t.Errorf("%v %v", by, err)
	}
}

func TestDamageIsNotFound(t *testing.T) {
	in := made(t, 100, 40, random(rand.New(rand.NewPCG(1, 2)), 40))
	for i := range in.cells {
		in.cells[i] = -128
	}
	in.exact[7*40], in.exact[8*40] = nan, infinite
	by := find(t, fastest, in, in.Row(3), nil, 100)
	if len(by) != 99 || slices.ContainsFunc(by, func(n Neighbour) bool { return n.Row == 7 }) {
		t.Errorf("%v", by)
	}
}

func TestASearchNeedsNoMemory(t *testing.T) {
	in := made(t, 1000, 100, random(rand.New(rand.NewPCG(1, 2)), 100))
	live := NewRows(1000)
	for i := range 500 {
		live.Add(2 * i)
	}
	var s Search
	ctx, to := t.Context(), make([]Neighbour, 0, 20)
	if n := testing.AllocsPerRun(10, func() {
		if err := s.Ask(in.Row(5)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Nearest(ctx, in, live, 20, to); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestASearchEndsWithItsContext(t *testing.T) {
	const lots = 1000
	in := made(t, lots*lot, 1, random(rand.New(rand.NewPCG(1, 2)), 1))
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	s := Search{kernel: kernel{"cancelling", func(rows []int8, to *cells, out []int32) {
		asked++
		cancel()
		dotsScalar(rows, to, out)
	}}}
	if err := s.Ask([]float32{1}); err != nil {
		t.Fatal(err)
	}
	if by, err := s.Nearest(ctx, in, nil, 3, nil); !errors.Is(err, context.Canceled) || by != nil {
		t.Errorf("%v %v", by, err)
	}
	if asked != between {
		t.Errorf("%d lots are compared, want %d", asked, between)
	}
}

func TestManySearchOneSet(t *testing.T) {
	in := made(t, 2000, 65, random(rand.New(rand.NewPCG(1, 2)), 65))
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			var s Search
			for i := range 20 {
				row := 100*g + i
				if err := s.Ask(in.Row(row)); err != nil {
					t.Error(err)
				}
				by, err := s.Nearest(context.Background(), in, nil, 1, nil)
				if err != nil || len(by) != 1 || by[0].Row != row {
					t.Errorf("nearest to row %d is %v: %v", row, by, err)
				}
			}
		})
	}
	running.Wait()
}

// What is found is written down here, so that a processor that adds or rounds in another way is noticed.
func TestAllProcessorsFindTheSame(t *testing.T) {
	const dims, count = 77, 500
	r := rand.New(rand.NewPCG(1, 2))
	next := func(v []float32) {
		for i := range v {
			v[i] = float32(r.IntN(2001) - 1000)
		}
	}
	in := made(t, count, dims, next)
	question := make([]float32, dims)
	next(question)
	sum := fnv.New64a()
	for _, n := range find(t, fastest, in, question, nil, 100) {
		fmt.Fprintln(sum, n.Row, math.Float32bits(n.Cosine))
	}
	if got := sum.Sum64(); got != 0x89933abea5ce7039 {
		t.Errorf("the neighbours are others: %#x", got)
	}
}
