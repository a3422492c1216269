package main

import (
	"os"
	"testing"

	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

func TestExecutableEvaluatesJsonnet(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonnet.Child{Command: []string{self, jsonnetArg}}
	out, err := c.Evaluate(t.Context(), jsonnet.Input{Entry: "a.jsonnet", Files: map[string]string{"a.jsonnet": "{ a: 1 + 1 }"}})
	if err != nil || string(out.JSON) != `{"a":2}` {
		t.Errorf("%s, %v, %v", out.JSON, out.Fault, err)
	}
}
