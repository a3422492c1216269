// Command turns is a runtime for a benchmark: it asks its model as often as the task says, and answers with how long each answer
// took, in nanoseconds.
package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/mainstay-dev/mainstay/plugins"
)

func main() { plugins.Serve(plugins.Info{Name: "turns"}, agent) }

func agent(ctx context.Context, run *plugins.Run) (string, error) {
	n, err := strconv.Atoi(run.Task())
	if err != nil {
		return "", err
	}
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		if _, err := run.Model(ctx, plugins.ModelRequest{Messages: run.Conversation()}, nil); err != nil {
			return "", err
		}
		took[i] = time.Since(began)
	}
	out, err := json.Marshal(took)
	return string(out), err
}
