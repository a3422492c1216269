//go:build !amd64

package vectors

// kernels are those that this processor can run, the fastest one first.
func kernels() []kernel { return []kernel{scalar} }
