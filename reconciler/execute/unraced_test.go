//go:build !race

package execute

const raced = false
