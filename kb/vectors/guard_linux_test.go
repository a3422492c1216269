package vectors

import (
	"slices"
	"syscall"
	"testing"
	"unsafe"
)

// Rows may end where a mapped file does. This test dies of one that is read beyond its end, or before its begin.
func TestNothingAroundTheRowsIsRead(t *testing.T) {
	page := syscall.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Munmap(memory); err != nil {
			t.Error(err)
		}
	}()
	if err := syscall.Mprotect(memory[page:2*page], syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	all := unsafe.Slice((*int8)(unsafe.Pointer(&memory[page])), page)
	for i := range all {
		all[i] = int8(i * 7)
	}
	for dims := 1; dims <= 300; dims++ {
		to := ask(slices.Repeat([]int8{-3}, dims))
		for _, rows := range [][]int8{all[page-2*dims:], all[:2*dims]} {
			want := byWord(rows, to, 2)
			for _, k := range kernels() {
				out := make([]int32, 2)
				if k.dots(rows, to, out); !slices.Equal(out, want) {
					t.Fatalf("%d numbers: %s tells %v, want %v", dims, k.name, out, want)
				}
			}
		}
	}
}
