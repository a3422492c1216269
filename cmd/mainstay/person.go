package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// personFlags say who decides.
type personFlags struct{ key, name, email string }

func (f *personFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "key", "", "your OpenSSH private key `file` (default: git's user.signingKey, else ~/.ssh/id_ed25519)")
	cmd.Flags().StringVar(&f.name, "name", "", "your `name` in the commit (default: git's user.name)")
	cmd.Flags().StringVar(&f.email, "email", "", "your `address` in the commit (default: git's user.email)")
}

// resolve fills in what git knows about the person.
func (f *personFlags) resolve() (*remote.Signer, error) {
	if f.key == "" {
		if key := gitConfig("user.signingKey"); key != "" && !strings.HasPrefix(key, "key::") && !strings.HasPrefix(key, "ssh-") {
			f.key = strings.TrimSuffix(expandHome(key), ".pub")
		} else {
			f.key = expandHome("~/.ssh/id_ed25519")
		}
	}
	if f.name == "" {
		f.name = gitConfig("user.name")
	}
	if f.email == "" {
		f.email = gitConfig("user.email")
	}
	if f.name == "" || f.email == "" {
		return nil, usageError{errors.New("who are you? give --name and --email, or set git's user.name and user.email")}
	}
	signer, err := remote.LoadSigner(f.key)
	if err != nil {
		return nil, fmt.Errorf("your key: %w; give --key", err)
	}
	return signer, nil
}

func (f *personFlags) reviewer(signer *remote.Signer) local.Reviewer {
	return local.Reviewer{Name: f.name, Email: f.email, Signer: signer}
}

// gitConfig reads git's configuration as git does, includes and all. Without git, nothing is set.
func gitConfig(name string) string {
	out, err := exec.Command("git", "config", "--get", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

// isTerminal reports whether a person may be at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readLine reads a person's answer, or ends when ctx does. Nobody may read from in after that.
func readLine(ctx context.Context, in *bufio.Reader) (string, error) {
	return reading(ctx, func() (string, error) { return in.ReadString('\n') })
}

// reading returns what read does, or ends when ctx does. Nothing can end a read of a terminal, so it is left to the end of
// the process then.
func reading[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := read()
		answered <- answer{value, err}
	}()
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case a := <-answered:
		return a.value, a.err
	}
}
