//go:build !linux

package host_test

import "errors"

func attack(string) (string, error) { return "", errors.New("the attacks are for Linux") }

func execute(string, ...string) (string, error) {
	return "", errors.New("nothing is executed but on Linux")
}

func program([]string) bool { return false }
