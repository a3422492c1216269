// Command hostile is a runtime for tests. It is the reference loop, until a task tells it to misbehave.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/plugins/loop"
)

func main() {
	plugins.Serve(plugins.Info{Name: "hostile", Version: "0"}, func(ctx context.Context, run *plugins.Run) (string, error) {
		switch strings.TrimSpace(run.Task()) {
		case "flood":
			for {
				run.Log("info", strings.Repeat("flood ", 1000))
			}
		case "hang":
			select {}
		case "ask":
			for {
				if _, err := run.Now(ctx); err != nil {
					return "", err
				}
			}
		case "exit":
			fmt.Fprintln(os.Stderr, "hostile: these are my last words")
			os.Exit(7)
		}
		return loop.Agent(ctx, run)
	})
}
