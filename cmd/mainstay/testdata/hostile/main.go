// Command hostile is a runtime for tests that does what its task says: flood, hang, exit, or crash.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins"
)

func main() {
	plugins.Serve(plugins.Info{Name: "hostile", Version: "0"}, func(ctx context.Context, run *plugins.Run) (string, error) {
		switch word, _, _ := strings.Cut(run.Task(), " "); word {
		case "flood":
			for {
				run.Log("info", strings.Repeat("flood ", 1000))
				go run.Now(ctx)
			}
		case "hang":
			select {}
		case "exit":
			fmt.Fprintln(os.Stderr, "hostile: these are my last words")
			os.Exit(7)
		}
		return "", fmt.Errorf("unknown task %q", run.Task())
	})
}
