package main

import (
	"context"
	"os"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/jsonnet"
)

// evaluator evaluates the Jsonnet of a spec repository in a process of its own, which is this executable again.
func evaluator(ctx context.Context) spec.Evaluator {
	return func(entries []string, files map[string]string) ([]spec.Evaluated, error) {
		child, err := jsonnetChild()
		if err != nil {
			return nil, err
		}
		outputs, err := child.EvaluateAll(ctx, entries, files)
		if err != nil {
			return nil, err
		}
		values := make([]spec.Evaluated, len(outputs))
		for i, out := range outputs {
			values[i] = spec.Evaluated{JSON: out.JSON, Places: places(out.Places), Keys: places(out.Keys)}
			if f := out.Fault; f != nil {
				values[i].Fault = &spec.Problem{Place: spec.Place(f.Place), Severity: spec.SeverityError, Summary: f.Summary, Hint: f.Hint}
			}
		}
		return values, nil
	}
}

// jsonnetChild is this executable as what evaluates Jsonnet.
func jsonnetChild() (*jsonnet.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &jsonnet.Child{Command: []string{self, jsonnetArg}}, nil
}

func places(of map[string]jsonnet.Place) map[string]spec.Place {
	out := make(map[string]spec.Place, len(of))
	for pointer, p := range of {
		out[pointer] = spec.Place(p)
	}
	return out
}
