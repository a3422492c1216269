package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

func newProposals(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proposals",
		Short: "List, show, approve and reject what agents want to change",
		Long: "These commands work on the Git remote itself, with your own credentials and your own key. No daemon is needed, and\n" +
			"no daemon can approve for you.",
	}
	cmd.AddCommand(newProposalsList(env), newProposalsShow(env), newApprove(env), newReject(env))
	return cmd
}

// openProposals opens the remote and the driver over it, in this process and with this process's credentials.
func openProposals(ctx context.Context, env environment, repo *repoFlags, person personFlags) (*remote.Remote, *local.Driver, error) {
	rem, ledger, fleetAt, err := openDecisions(ctx, env, repo, person)
	if err != nil {
		return nil, nil, err
	}
	// By the same that whoever executes it asks about.
	declarations := &execute.Declarations{History: rem, Path: repo.path, Jsonnet: evaluator(ctx), Every: true}
	return rem, local.New(local.Options{Remote: rem, Branch: repo.ref, Path: repo.path, Name: person.name, Email: person.email,
		Ledger: ledger, FleetAt: fleetAt, Now: env.clock(),
		Declared: func(commit string) (fleets []*spec.Fleet, err error) {
			declared, err := execute.InForce(rem, declarations.At, commit)
			for _, d := range declared {
				fleets = append(fleets, d.Fleet)
			}
			return fleets, err
		}}), nil
}

// openDecisions opens the remote, its ledger, and what tells who may decide there.
func openDecisions(ctx context.Context, env environment, repo *repoFlags, person personFlags) (_ *remote.Remote, _ *execute.Ledger,
	fleetAt func(commit string) (*spec.Fleet, error), err error) {
	if err := repo.resolve(); err != nil {
		return nil, nil, nil, err
	}
	rem, err := openRemote(ctx, env, repo.repo, "")
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rem.Close())
		}
	}()
	src, err := source.New(source.Options{Remote: rem, Branch: repo.ref, Path: repo.path})
	if err != nil {
		return nil, nil, nil, err
	}
	seen, err := src.Observe(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	fleetAt = func(commit string) (*spec.Fleet, error) {
		at, err := src.At(ctx, spec.NewRevision(repo.ref, commit))
		if err != nil {
			return nil, err
		}
		return reconciler.RootAt(at.Tree)
	}
	ledger := execute.OpenLedger(execute.LedgerOptions{Remote: rem, Name: person.name, Email: person.email, Now: env.clock(),
		Fleet: func() (*spec.Fleet, error) { return fleetAt(seen.Revision.Commit()) }})
	return rem, ledger, fleetAt, nil
}

func newProposalsList(env environment) *cobra.Command {
	var (
		repo   = repoFlags{here: true}
		output string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the open proposals",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rem, driver, err := openProposals(cmd.Context(), env, &repo, personFlags{})
			if err != nil {
				return err
			}
			defer rem.Close()
			open, err := driver.List(cmd.Context())
			if err != nil {
				return err
			}
			return views["proposals"](reconciler.Status{Proposals: reconciler.ProposalStatuses(open)}, time.Now()).print(cmd.OutOrStdout(), output)
		},
	}
	repo.add(cmd)
	addOutputFlag(cmd, &output)
	return cmd
}

func newProposalsShow(env environment) *cobra.Command {
	repo := repoFlags{here: true}
	cmd := &cobra.Command{
		Use:   "show KEY",
		Short: "Show a proposal: why, and the exact change",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			rem, driver, err := openProposals(cmd.Context(), env, &repo, personFlags{})
			if err != nil {
				return err
			}
			defer rem.Close()
			p, err := findProposal(cmd.Context(), driver, args[0])
			if err != nil {
				return err
			}
			shown, err := driver.Show(cmd.Context(), p.Key)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), showProposal(shown))
			if shown.Problem == "" {
				fmt.Fprintf(cmd.OutOrStdout(), "\nto approve exactly this:\n  mainstay proposals approve %s%s\n", approvable(shown.Listed), repo.given(cmd))
			}
			return nil
		},
	}
	repo.add(cmd)
	return cmd
}

// showProposal is what a reviewer reads: where it comes from, why, and the exact change.
func showProposal(p proposal.Shown) string {
	text := fmt.Sprintf("%s\n\nproposal %s by agent %s, run %s, on %s\nhead %s\n", p.Sentence, p.Key, p.Agent, p.Run, p.Base.Short(), p.Head)
	if p.Problem != "" {
		text += "cannot be approved: " + p.Problem + "\n"
	}
	if p.Body != "" {
		text += "\n" + p.Body + "\n"
	}
	return text + "\n" + strings.TrimRight(p.Diff, "\n")
}

// shortHead is how many characters of a commit tell which one a person has read: the signature in a commit makes its id
// one that nobody can choose.
const shortHead = 7

// approvable is KEY@HEAD, which names a proposal as it is now and no other.
func approvable(p proposal.Listed) string {
	return string(p.Key) + "@" + p.Head[:min(shortHead, len(p.Head))]
}

// cutHead splits KEY@HEAD. Without a head the second part is "".
func cutHead(arg string) (key, head string, err error) {
	key, head, given := strings.Cut(arg, "@")
	head = strings.ToLower(head)
	if given && (len(head) < shortHead || strings.Trim(head, "0123456789abcdef") != "") {
		return "", "", usageError{fmt.Errorf("%q does not say which commit was read; write KEY@HEAD with at least %d characters of the head, as `mainstay proposals show %s` does",
			arg, shortHead, key)}
	}
	return key, head, nil
}

// findProposal finds an open proposal by its key, or by the beginning of one.
func findProposal(ctx context.Context, driver *local.Driver, key string) (proposal.Listed, error) {
	open, err := driver.List(ctx)
	if err != nil {
		return proposal.Listed{}, err
	}
	matching := slices.DeleteFunc(slices.Clone(open), func(p proposal.Listed) bool { return !strings.HasPrefix(string(p.Key), key) })
	switch len(matching) {
	case 1:
		return matching[0], nil
	case 0:
		return proposal.Listed{}, fmt.Errorf("no open proposal %q; `mainstay proposals list` shows %s", key, proposals(len(open)))
	default:
		return proposal.Listed{}, usageError{fmt.Errorf("%q is the beginning of %s; write more of the key", key, proposals(len(matching)))}
	}
}

// decide finds a proposal and lets a person, with the person's own key, do something about it.
func decide(ctx context.Context, env environment, repo *repoFlags, person *personFlags, key string, do func(*local.Driver, proposal.Listed, local.Reviewer) error) error {
	signer, err := person.resolve()
	if err != nil {
		return err
	}
	rem, driver, err := openProposals(ctx, env, repo, *person)
	if err != nil {
		return err
	}
	defer rem.Close()
	p, err := findProposal(ctx, driver, key)
	if err != nil {
		return err
	}
	return do(driver, p, person.reviewer(signer))
}

func newApprove(env environment) *cobra.Command {
	var (
		repo   = repoFlags{here: true}
		person personFlags
	)
	cmd := &cobra.Command{
		Use:   "approve KEY@HEAD",
		Short: "Merge a proposal, signed with your key: the merge is the approval",
		Long: "Make a merge commit of the proposal, signed with your own key, and push it to the branch. Your key must be one of\n" +
			"the approvers that mainstay.yaml lists there already. HEAD is the commit you have read, as `mainstay proposals show`\n" +
			"prints it: what is approved are these bytes and no others. Without it, on a terminal, the proposal is shown and you\n" +
			"are asked.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, head, err := cutHead(args[0])
			if err != nil {
				return err
			}
			if head == "" && !isTerminal(cmd.InOrStdin()) {
				return usageError{fmt.Errorf("which commit have you read? `mainstay proposals show %s%s` ends with the command that approves what it shows", key, repo.given(cmd))}
			}
			return decide(cmd.Context(), env, &repo, &person, key, func(driver *local.Driver, p proposal.Listed, by local.Reviewer) error {
				read := p.Head
				switch {
				case head == "":
					if read, err = askApproval(cmd, driver, p); err != nil {
						return err
					}
				case !strings.HasPrefix(p.Head, head):
					return fmt.Errorf("approve proposal %s: %w with `mainstay proposals show %s%s`; it is at %s now, not at %s",
						p.Key, local.ErrHeadMoved, p.Key, repo.given(cmd), p.Head, head)
				}
				merge, err := driver.Approve(cmd.Context(), local.Approval{Key: p.Key, Head: read, By: by})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "merged %s into %s as %s: %s\n", p.Key, repo.ref, merge, p.Title)
				return err
			})
		},
	}
	repo.add(cmd)
	person.add(cmd)
	return cmd
}

// askApproval shows a proposal to the person at the terminal and returns the head that the person said yes to.
func askApproval(cmd *cobra.Command, driver *local.Driver, p proposal.Listed) (string, error) {
	shown, err := driver.Show(cmd.Context(), p.Key)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", showProposal(shown))
	in := bufio.NewReader(cmd.InOrStdin())
	for {
		fmt.Fprint(cmd.OutOrStdout(), "approve? [y]es, [n]o: ")
		line, err := readLine(cmd.Context(), in)
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return shown.Head, nil
		case "n", "no":
			return "", fmt.Errorf("not approved; nothing has changed. `mainstay proposals reject %s --reason TEXT` tells the agent why", p.Key)
		}
		if errors.Is(err, io.EOF) {
			return "", errors.New("nobody answered; nothing has changed")
		}
		if err != nil {
			return "", err
		}
	}
}

func newReject(env environment) *cobra.Command {
	var (
		repo   = repoFlags{here: true}
		person personFlags
		reason string
	)
	cmd := &cobra.Command{
		Use:   "reject KEY --reason TEXT",
		Short: "Say no to a proposal; the agent is told why and does not ask again until the files change",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usageError{errors.New("give --reason; the agent is told")}
			}
			return decide(cmd.Context(), env, &repo, &person, args[0], func(driver *local.Driver, p proposal.Listed, by local.Reviewer) error {
				if err := driver.Reject(cmd.Context(), p.Key, reason, by); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "rejected %s: %s\n", p.Key, p.Title)
				return err
			})
		},
	}
	repo.add(cmd)
	person.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why not, in a `sentence`")
	return cmd
}
