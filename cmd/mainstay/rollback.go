package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

func newRollback(env environment) *cobra.Command {
	var (
		repo       = repoFlags{here: true}
		person     personFlags
		to, reason string
		dryRun     bool
	)
	cmd := &cobra.Command{
		Use:   "rollback --to REVISION --reason TEXT",
		Short: "Propose to bring back what was declared at an earlier revision",
		Long: "Make one commit on top of the branch in which all that declares something is as it was at REVISION, signed with your\n" +
			"own key, and open it as a proposal. Once it is merged, every agent, prompt, skill and pin has its former digest, which is\n" +
			"checked before anything is pushed. Nothing is merged by itself: `mainstay proposals approve` does that.\n\n" +
			"REVISION is a commit in the history of the branch: its id or the beginning of it, or as `mainstay get revisions` writes\n" +
			"it, main@1234567.\n\n" +
			"Not brought back are files that declare nothing, Actions, what they have done, and the ledger. mainstay.yaml stays as it\n" +
			"is where the former one has other approvers, another ledger or another demand for signatures: those are changed by a\n" +
			"commit of their own.\n\n" +
			"With --dry-run nothing is signed or pushed; the plan is printed.",
		Example: "  mainstay rollback --to main@1234567 --dry-run\n  mainstay rollback --to 1234567 --reason 'Triage answers nonsense since the new prompt'",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case to == "":
				return usageError{errors.New("give --to REVISION; `mainstay get revisions` and `git log` list them")}
			case reason == "" && !dryRun:
				return usageError{errors.New("give --reason; whoever approves it is told")}
			}
			var signer *remote.Signer
			if !dryRun {
				if signer, err = person.resolve(); err != nil {
					return err
				}
			}
			b := &rollback{env: env, repo: &repo, person: person, signer: signer, reason: reason}
			if err := b.open(cmd.Context()); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.rem.Close()) }()
			if err := b.prepare(cmd.Context(), to); err != nil {
				return fmt.Errorf("roll back to %s: %w", spec.Visible(to), err)
			}
			if err := writePlan(cmd.OutOrStdout(), b.change); err != nil {
				return err
			}
			b.writeKept(cmd.OutOrStdout())
			if dryRun {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "\nnothing was pushed; without --dry-run this becomes a proposal")
				return err
			}
			p, head, err := b.propose(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nopened %s on branch %s; to approve exactly this:\n  mainstay proposals approve %s@%s%s\n",
				p.Key, p.Branch(), p.Key, head[:shortHead], repo.given(cmd))
			return err
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	person.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the `revision` whose declarations come back")
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence`")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the plan, and push nothing")
	return cmd
}

// rollback brings one revision back.
type rollback struct {
	env    environment
	repo   *repoFlags
	person personFlags
	signer *remote.Signer
	reason string

	rem     *remote.Remote
	driver  *local.Driver
	fleetAt func(commit string) (*spec.Fleet, error)
	seen    source.Observation
	source  *source.Source

	to     string // the commit whose declarations come back
	paths  []string
	draft  remote.CommitDraft
	change *plan.Change
	// kept says what is not brought back, one sentence each.
	kept []string
}

// open reads the repository.
func (b *rollback) open(ctx context.Context) (err error) {
	var ledger *execute.Ledger
	if b.rem, ledger, b.fleetAt, err = openDecisions(ctx, b.env, b.repo, b.person); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.rem.Close())
		}
	}()
	b.driver = local.New(local.Options{Remote: b.rem, Branch: b.repo.ref, Path: b.repo.path, Name: b.person.name, Email: b.person.email,
		Ledger: ledger, FleetAt: b.fleetAt, Now: b.env.clock()})
	if b.source, err = source.New(source.Options{Remote: b.rem, Branch: b.repo.ref, Path: b.repo.path}); err != nil {
		return err
	}
	b.seen, err = b.source.Observe(ctx)
	return err
}

// prepare makes the commit, unsigned, in this process's store, and checks that it brings back what it says.
func (b *rollback) prepare(ctx context.Context, to string) error {
	tip := b.seen.Revision.Commit()
	var err error
	if b.to, err = b.find(to); err != nil {
		return err
	}
	former, err := b.load(ctx, b.to)
	if err != nil {
		return fmt.Errorf("what it declares does not load, and could not run: %w", err)
	}
	if err := b.choose(tip); err != nil {
		return err
	}
	now := b.env.clock()().UTC()
	b.draft = remote.CommitDraft{Base: tip, Parents: []string{tip}, Message: "a rollback", AuthorName: "mainstay", AuthorEmail: "mainstay@localhost", When: now}
	made, err := b.rem.RestoreCommit(b.draft, b.to, b.paths)
	if err != nil {
		return err
	}
	if made == tip {
		return fmt.Errorf("%s declares what it did at %.7s: there is nothing to bring back", b.repo.ref, b.to)
	}
	after, err := b.load(ctx, made)
	if err != nil {
		return fmt.Errorf("what would come back does not load beside what stays: %w", err)
	}
	if differ := notAsBefore(former, after); len(differ) > 0 {
		return fmt.Errorf("%s would not be as before, because of what does not come back (see --help): bring it back by hand, with git revert", strings.Join(differ, ", "))
	}
	before, err := b.load(ctx, tip)
	if err != nil { // A broken revision is a good reason to roll back.
		b.kept = append(b.kept, fmt.Sprintf("%s does not load, so that everything is new in this plan", b.seen.Revision.Short()))
	}
	changed, err := b.rem.Changed(ctx, tip, made)
	if err != nil {
		return err
	}
	all, err := b.rem.Changed(ctx, "", made)
	if err != nil {
		return err
	}
	b.change = plan.Compare(before, after, plan.Paths{Known: true, Changed: changed, All: all})
	if before == nil { // What was executed is not executed again, whatever cannot be loaded.
		b.change.Actions, b.change.Summary.Actions = nil, 0
	}
	b.change.Before.Name, b.change.After.Name = b.seen.Revision.Short(), "what it was at "+spec.NewRevision(b.repo.ref, b.to).Short()
	return b.executed()
}

// find returns the commit in the history of the branch that a person means.
func (b *rollback) find(to string) (string, error) {
	id := strings.ToLower(to)
	if branch, rest, ok := strings.Cut(id, "@"); ok {
		if branch != strings.ToLower(b.repo.ref) {
			return "", usageError{fmt.Errorf("it is on %s, and the branch here is %s", spec.Visible(branch), b.repo.ref)}
		}
		id = strings.TrimPrefix(rest, "sha1:")
	}
	if len(id) < 4 || len(id) > 40 || strings.Trim(id, "0123456789abcdef") != "" {
		return "", usageError{fmt.Errorf("that is not the id of a commit; write at least 4 of its 40 hexadecimal characters, as `git log` and `mainstay get revisions` show them")}
	}
	all, err := b.rem.Between("", b.seen.Revision.Commit())
	if err != nil {
		return "", err
	}
	found := slices.DeleteFunc(all, func(c string) bool { return !strings.HasPrefix(c, id) })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("no such commit in the history of %s, which is at %.7s; `git log %s` lists them", b.repo.ref, b.seen.Revision.Commit(), b.repo.ref)
	}
	return "", usageError{fmt.Errorf("%d commits of %s begin like that; write more of it", len(found), b.repo.ref)}
}

// choose says which paths come back: all but mainstay.yaml, where that would change who is trusted.
func (b *rollback) choose(tip string) error {
	now, err := b.fleetAt(tip)
	if err != nil {
		return fmt.Errorf("read mainstay.yaml at %s: %w", b.seen.Revision.Short(), err)
	}
	then, err := b.fleetAt(b.to)
	if err != nil {
		return fmt.Errorf("read mainstay.yaml: %w", err)
	}
	rootFile := spec.FileOf(spec.Ref{Kind: spec.KindFleet})
	trusted := execute.SameTrust(now, then) && sameDemand(now.Signatures, then.Signatures)
	for _, name := range spec.RollbackPaths() {
		if name == rootFile && !trusted {
			b.kept = append(b.kept, "mainstay.yaml stays as it is: the former one lists other approvers, another ledger or another demand for signatures")
			continue
		}
		b.paths = append(b.paths, path.Join(b.repo.path, name))
	}
	return nil
}

func sameDemand(a, b *spec.SignatureDemand) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && slices.Equal(a.Authors, b.Authors) && slices.Equal(a.Committers, b.Committers) && slices.EqualFunc(a.Signers, b.Signers, spec.Key.Equal)
}

func (b *rollback) load(ctx context.Context, commit string) (*spec.Fleet, error) {
	at, err := b.source.At(ctx, spec.NewRevision(b.repo.ref, commit))
	if err != nil {
		return nil, err
	}
	l := &loading{files: at.Tree}
	fleet, problems, err := l.load(ctx, b.repo.env)
	if err = errors.Join(err, problems.Err()); err != nil {
		return nil, err
	}
	return fleet, nil
}

// notAsBefore are the resources, but for the Fleet and Actions, that do not have the same digest on both sides.
func notAsBefore(former, after *spec.Fleet) []string {
	digests := map[spec.Ref]spec.Digest{}
	for _, r := range former.Resources {
		digests[r.Ref] = r.Digest
	}
	var out []string
	for _, r := range after.Resources {
		if d, ok := digests[r.Ref]; (!ok || d != r.Digest) && r.Kind != spec.KindAction && r.Kind != spec.KindFleet {
			out = append(out, r.Ref.String())
		}
		delete(digests, r.Ref)
	}
	for ref := range digests {
		if ref.Kind != spec.KindAction && ref.Kind != spec.KindFleet {
			out = append(out, ref.String())
		}
	}
	slices.Sort(out)
	return out
}

// executed lists the actions that were executed since, as the ledger says: what they did stays done.
func (b *rollback) executed() error {
	tip := b.seen.Branches[execute.Branch]
	if tip == "" {
		return nil
	}
	then, err := b.rem.Commit(b.to)
	if err != nil {
		return err
	}
	tree, err := b.rem.Snapshot(tip)
	if err != nil {
		return err
	}
	actions, err := fs.ReadDir(tree, "actions")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, a := range actions {
		content, err := fs.ReadFile(tree, path.Join("actions", a.Name(), "receipt.json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var receipt spec.LedgerEntry
		if err == nil {
			err = json.Unmarshal(content, &receipt)
		}
		if err != nil {
			return fmt.Errorf("read the ledger's receipt of %s: %w", a.Name(), err)
		}
		if !receipt.At.Before(then.When) {
			b.kept = append(b.kept, fmt.Sprintf("the action %s was executed at %s (%s), and stays done", a.Name(), receipt.At.UTC().Format(time.RFC3339), receipt.Outcome))
		}
	}
	return nil
}

func (b *rollback) writeKept(w io.Writer) {
	if len(b.kept) == 0 {
		return
	}
	fmt.Fprintln(w, "\nNot brought back:")
	for _, sentence := range b.kept {
		fmt.Fprintln(w, "  "+spec.Visible(sentence))
	}
}

// propose makes the commit once more, signed and with all that an approver reads, and opens it as a proposal.
func (b *rollback) propose(ctx context.Context) (spec.Proposal, string, error) {
	p := spec.Proposal{
		Key: proposal.RollbackKey(b.to), Kind: spec.ProposalRollback, Agent: spec.RollbackAgent,
		Run: runs.NewID(b.draft.When, rand.Reader), Exchange: 1, Base: b.seen.Revision, At: b.draft.When,
		Title: fmt.Sprintf("Bring back what was declared at %s: %s", spec.NewRevision(b.repo.ref, b.to).Short(), b.reason),
	}
	var kept strings.Builder
	b.writeKept(&kept)
	p.Body = planMarkdown(b.change, maxComment) + "\n" + kept.String()
	b.draft.Message, b.draft.Signer = proposal.Message(p), b.signer
	b.draft.AuthorName, b.draft.AuthorEmail = b.person.name, b.person.email
	head, err := b.rem.RestoreCommit(b.draft, b.to, b.paths)
	if err != nil {
		return p, "", err
	}
	return p, head, b.driver.OpenRollback(ctx, p, head, b.person.reviewer(b.signer))
}
