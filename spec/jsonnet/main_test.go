package jsonnet_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// childArg makes the test binary be the child.
const childArg = "__jsonnet"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		if err := jsonnet.ServeChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child returns a child that evaluates in the test binary.
func child(t testing.TB) *jsonnet.Child {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &jsonnet.Child{Command: []string{self, childArg}, Wall: 20 * time.Second, Total: 5 * time.Minute}
}
