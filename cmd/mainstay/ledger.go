package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
)

func newLedger(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "The branch mainstay/ledger, which records what was executed",
	}
	cmd.AddCommand(newLedgerInit(env), newLedgerShow(env), newLedgerVerify(env))
	return cmd
}

// yamlKey is a public key as a value in YAML: an OpenPGP one has many lines.
func yamlKey(key, indent string) string {
	if !strings.Contains(key, "\n") {
		return key
	}
	return "|\n" + indent + strings.ReplaceAll(key, "\n", "\n"+indent)
}

func newLedgerInit(env environment) *cobra.Command {
	var (
		repo  repoFlags
		state stateFlags
	)
	cmd := &cobra.Command{
		Use:   "init --repo URL",
		Short: "Make the ledger branch, and print the lines that pin it in mainstay.yaml",
		Long: "Make the first commit of mainstay/ledger on the remote, signed with the reconciler's key, and print what to add to\n" +
			"mainstay.yaml. Until these lines are on the branch no action executes. Protect the branch: only the reconciler may\n" +
			"push to it, and nobody may force it.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := repo.resolve(); err != nil {
				return err
			}
			if state.dir == "" {
				if state.dir, err = defaultState(repo.repo, repo.ref, repo.path); err != nil {
					return err
				}
			}
			signer, err := loadOrMakeKey(state.signingKey, filepath.Join(state.dir, "keys", "reconciler"))
			if err != nil {
				return err
			}
			rem, err := openRemote(cmd.Context(), env, repo.repo, "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, rem.Close()) }()
			genesis, err := execute.InitLedger(cmd.Context(), rem, signer, "mainstay", "mainstay@localhost", time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "spec:\n  ledger:\n    genesis: %s\n    signers:\n    - name: reconciler\n      key: %s\n",
				genesis, yamlKey(signer.AuthorizedKey(), "        "))
			return err
		},
	}
	repo.add(cmd)
	addOwnStateFlag(cmd, &state.dir)
	state.add(cmd)
	return cmd
}
