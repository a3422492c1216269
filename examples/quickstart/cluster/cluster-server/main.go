// Command cluster-server serves the simulated cluster of the quickstart over MCP on its stdin and stdout.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mainstay-dev/mainstay/examples/quickstart/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := cluster.Serve(ctx, stdin, stdout, os.Getenv); err != nil {
		fmt.Fprintf(stderr, "cluster-server: %v\n", err)
		return 1
	}
	return 0
}
