//go:build !linux

package host_test

import "errors"

func attack(string) (string, error) { return "", errors.New("the attacks are for Linux") }
