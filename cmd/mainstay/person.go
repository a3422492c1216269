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
	cmd.Flags().StringVar(&f.key, "key", "", "your private key `file`, of OpenSSH or an exported OpenPGP one (default: git's user.signingKey, else ~/.ssh/id_ed25519)")
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
	signer, err := loadKey(f.key)
	if err != nil {
		return nil, fmt.Errorf("your key: %w; give --key", err)
	}
	return signer, nil
}

// passphraseVar is the variable that holds the passphrase of a signing key.
const passphraseVar = "MAINSTAY_SIGNING_PASSPHRASE"

// loadKey reads a signing key, with the passphrase that the environment holds. The variable is taken out of it: nothing that
// this process starts, and no reference to a secret, is to find it there.
func loadKey(path string) (*remote.Signer, error) {
	passphrase, given := os.LookupEnv(passphraseVar)
	if !given {
		signer, err := remote.LoadSigner(path)
		if errors.Is(err, remote.ErrPassphrase) {
			err = fmt.Errorf("%w: put it into $%s, or use a key without one", err, passphraseVar)
		}
		return signer, err
	}
	if err := os.Unsetenv(passphraseVar); err != nil {
		return nil, err
	}
	return remote.UnlockSigner(path, []byte(passphrase))
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
