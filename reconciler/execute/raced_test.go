//go:build race

package execute

// raced says that the tests run under the race detector.
const raced = true
