package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxLine bounds how many commits are looked through between two revisions.
const maxLine = 100_000

// Verified is what counts when a revision is verified.
type Verified struct {
	// Commit is the one that was verified last; "" where none ever was.
	Commit string
	// Demand is what that one demands. Nil demands nothing.
	Demand *spec.SignatureDemand
	// DemandAt returns what mainstay.yaml demands at a commit. Its error says that the file cannot be read there.
	DemandAt func(commit string) (*spec.SignatureDemand, error)
}

// UnverifiedError says why a revision may not run.
type UnverifiedError struct {
	// Commit is the one that is not as demanded, and Demand where that is written.
	Commit string
	Demand string
	// Reason says what is wrong, and what to do.
	Reason string
}

func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("commit %.7s is not as %s demands: %s", e.Commit, e.Demand, e.Reason)
}

// Verify reports with an [*UnverifiedError] why a commit of the branch may not run. Any other error means that it could not
// be found out.
//
// It follows the branch, by first parents, from the commit that was verified last: each commit that satisfies the demand
// of that moment may change it. A commit that does not descend from the one verified last is never verified.
func (s *Source) Verify(ctx context.Context, tip remote.Commit, v Verified) error {
	demand := v.Demand
	if demand == nil || tip.ID == v.Commit {
		return nil
	}
	c := &checking{s: s, ctx: ctx}
	if v.Commit == "" {
		return c.commit(tip, demand)
	}
	forward, err := s.remote.IsAncestor(v.Commit, tip.ID)
	if errors.Is(err, remote.ErrMissing) {
		forward, err = false, nil
	}
	if err != nil {
		return err
	}
	if !forward {
		return &UnverifiedError{Commit: tip.ID, Demand: demand.Place, Reason: fmt.Sprintf(
			"the branch was put back or rewritten, and does not go on from %.7s, which was verified last; bring an older state back with git revert, or sign a merge that keeps the new one (git merge -s ours %.7s)", v.Commit, v.Commit)}
	}
	line, whole, err := s.line(tip.ID, v.Commit)
	if err != nil {
		return err
	}
	if !whole {
		return c.all(tip, demand, v.Commit)
	}
	for _, commit := range line[:len(line)-1] {
		changed, err := s.changesRoot(commit)
		if err != nil {
			return err
		}
		if !changed && demand.Mode != spec.SignEveryCommit {
			continue
		}
		err = c.commit(commit, demand)
		if unverified := (*UnverifiedError)(nil); err != nil && !errors.As(err, &unverified) {
			return err
		}
		if err != nil && demand.Mode == spec.SignEveryCommit {
			return err
		}
		if err != nil || !changed {
			continue
		}
		next, err := v.DemandAt(commit.ID)
		if err != nil {
			continue // A broken root is never what runs, and changes no demand.
		}
		if demand = next; demand == nil {
			return nil
		}
	}
	return c.commit(tip, demand)
}

// line returns the commits from the one after from up to tip, by first parents. It reports false where they do not lead
// there.
func (s *Source) line(tip, from string) (line []remote.Commit, whole bool, err error) {
	for c, err := range s.remote.FirstParents(tip) {
		if err != nil {
			return nil, false, err
		}
		if c.ID == from {
			slices.Reverse(line)
			return line, true, nil
		}
		if line = append(line, c); len(line) > maxLine {
			break
		}
	}
	return nil, false, nil
}

// checking checks commits, and asks for the tags of each once.
type checking struct {
	s   *Source
	ctx context.Context
}

// all checks every commit that tip holds and from does not, where the mode demands that, and tip.
func (c *checking) all(tip remote.Commit, demand *spec.SignatureDemand, from string) error {
	if demand.Mode == spec.SignEveryCommit {
		news, err := c.s.remote.Between(from, tip.ID)
		if err != nil {
			return err
		}
		for _, id := range news {
			commit, err := c.s.remote.Commit(id)
			if err != nil {
				return err
			}
			if err := c.commit(commit, demand); err != nil {
				return err
			}
		}
	}
	return c.commit(tip, demand)
}

// commit checks one commit.
func (c *checking) commit(commit remote.Commit, demand *spec.SignatureDemand) error {
	var tags []remote.Tag
	if demand.Mode == spec.SignTag || demand.Mode == spec.SignTagAndHead {
		var err error
		if tags, err = c.s.remote.TagsOf(c.ctx, commit.ID); err != nil {
			return err
		}
	}
	return Check(commit, tags, demand)
}

// Check reports with an [*UnverifiedError] why one commit, with the annotated tags that it has, does not satisfy a demand.
func Check(commit remote.Commit, tags []remote.Tag, demand *spec.SignatureDemand) error {
	refuse := func(format string, args ...any) error {
		return &UnverifiedError{Commit: commit.ID, Demand: demand.Place, Reason: fmt.Sprintf(format, args...)}
	}
	if !spec.IsListed(demand.Authors, commit.Author) {
		return refuse("its author is %s, who is not among the authors listed there; one of them makes the commit, or the list is changed first", spec.Visible(commit.Author))
	}
	if !spec.IsListed(demand.Committers, commit.Committer) {
		return refuse("its committer is %s, who is not among the committers listed there; one of them makes the commit, or the list is changed first", spec.Visible(commit.Committer))
	}
	if demand.Mode != spec.SignTag {
		if _, err := remote.VerifyCommit(commit, demand.Signers); err != nil {
			who := "nobody has signed it"
			if !errors.Is(err, remote.ErrUnsigned) {
				who = strings.TrimPrefix(err.Error(), "commit "+commit.ID+": ")
			}
			return refuse("%s; it is by %s, and one of the signers listed there has to sign it, with git commit --amend -S or a signed commit or merge on top of it",
				who, spec.Visible(commit.Author))
		}
		if demand.Mode != spec.SignTagAndHead {
			return nil
		}
	}
	var why []string
	for _, t := range tags {
		_, err := remote.VerifyTag(t, demand.Signers)
		if err == nil {
			return nil
		}
		why = append(why, err.Error())
	}
	if len(why) == 0 {
		return refuse("it has no annotated tag; one of the signers listed there tags it, with git tag -s NAME %.7s, and pushes the tag", commit.ID)
	}
	return refuse("%s; one of the signers listed there tags it, with git tag -s NAME %.7s, and pushes the tag", spec.Visible(strings.Join(why, "; ")), commit.ID)
}

// changesRoot reports whether a commit has another mainstay.yaml than its first parent.
func (s *Source) changesRoot(c remote.Commit) (bool, error) {
	if len(c.Parents) == 0 {
		return true, nil
	}
	after, err := s.RootFile(c.ID)
	if err != nil {
		return false, err
	}
	before, err := s.RootFile(c.Parents[0])
	return after != before, err
}

// RootFile returns the object id of mainstay.yaml in a commit, or "" where there is none.
func (s *Source) RootFile(commit string) (string, error) {
	tree, err := s.remote.Snapshot(commit)
	if err != nil {
		return "", err
	}
	info, err := tree.Lstat(path.Join(s.path, spec.FileOf(spec.Ref{Kind: spec.KindFleet})))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, _ := info.Sys().(string)
	return id, nil
}
