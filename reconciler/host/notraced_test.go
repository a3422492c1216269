//go:build !race

package host_test

// raced says that the tests run under the race detector.
const raced = false
