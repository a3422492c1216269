package vectors

import "golang.org/x/sys/cpu"

// kernels are those that this processor can run, the fastest one first.
func kernels() []kernel {
	var all []kernel
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VNNI {
		all = append(all, kernel{"AVX-512 VNNI", dotsVNNI})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, kernel{"AVX2", dotsAVX2})
	}
	return append(all, scalar)
}

func dotsVNNI(rows []int8, to *cells, out []int32) {
	if len(out) == 0 {
		return
	}
	_ = rows[:len(out)*to.dims]
	_ = to.padded[:(to.dims+63)&^63]
	vnni(&rows[0], &to.padded[0], to.dims, &out[0], len(out), -128*to.sum)
}

func dotsAVX2(rows []int8, to *cells, out []int32) {
	wide := to.dims &^ 31
	if len(out) == 0 {
		return
	}
	_ = rows[:len(out)*to.dims]
	_ = to.padded[:wide]
	avx2(&rows[0], &to.padded[0], to.dims, wide, &out[0], len(out))
	if wide < to.dims {
		for i := range out {
			out[i] += dotScalar(rows[i*to.dims+wide:(i+1)*to.dims], to.padded[wide:])
		}
	}
}

// vnni sets each of count numbers at out to bias and the product of a row at rows, dims bytes long, and what is at to. There have to be
// zeros at to behind dims, up to a multiple of 64.
//
//go:noescape
func vnni(rows, to *int8, dims int, out *int32, count int, bias int32)

// avx2 sets each of count numbers at out to the product of the first bytes of a row at rows, dims bytes long, and what is at to. How many
// is wide, a multiple of 32.
//
//go:noescape
func avx2(rows, to *int8, dims, wide int, out *int32, count int)
