package execute

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/approver"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// The trailers that a proposal's commit carries (see package proposal).
const (
	trailerAction = "Mainstay-Action"
	trailerKey    = "Mainstay-Proposal"
)

// maxHistory bounds how many commits are looked through for the one that brought an Action in.
const maxHistory = 500_000

// History is where the commits and files of a repository are read: a [remote.Remote] or a [remote.Clone].
type History interface {
	Commit(id string) (remote.Commit, error)
	FirstParents(from string) iter.Seq2[remote.Commit, error]
	Snapshot(commit string) (*remote.Snapshot, error)
}

// Judge decides from the history of a repository, and from nothing else, whether it approves an Action. The executor asks it
// before it does anything and an auditor afterwards, so that the two never disagree. All fields but Path are required.
type Judge struct {
	History History
	// Branch is the branch that Actions are merged into: what was proposed for another one is not approved here.
	Branch string
	// Path is the folder of the repository that holds mainstay.yaml; "" is the root.
	Path string
	// FleetAt and DeclaredAt are as in [Options].
	FleetAt    func(commit string) (*spec.Fleet, error)
	DeclaredAt func(commit string) ([]Declared, error)
}

// Verdict is what a [Judge] has decided: one of the two is set.
type Verdict struct {
	Approval *spec.Approval
	// Proposer is the reconciler that has signed the approved proposal.
	Proposer spec.Key
	// By is the approver as the list that counts now names the person, and Before the merge's first parent.
	By     spec.Key
	Before string
	// Refused is a sentence that says why the Action is not approved.
	Refused string
}

// verdict is the one about the Action's file as it was at a revision.
type verdict struct {
	Verdict
	digest spec.Digest
	commit string // the revision it was found for
	trust  string // and whose keys counted then
}

// approval finds out who approved the Action's file as it is at the revision. It walks back to where the file came in,
// only as far as it has not walked before. An error says that a commit could not be read; it is no verdict.
func (e *Executor) approval(w Work) (verdict, error) {
	e.mu.Lock()
	known := e.verdicts[w.Action.ID]
	e.mu.Unlock()
	counts := newTrust(w.trusted())
	if known.digest != w.Action.Digest || known.trust != counts.id {
		known = verdict{}
	}
	at := w.Revision.Commit()
	if known.commit == at && at != "" {
		return known, nil
	}
	found, err := e.judge.find(w, known)
	if err != nil {
		return verdict{}, fmt.Errorf("find out who approved %s: %w", w.Action.ID, err)
	}
	v := verdict{Verdict: found, digest: w.Action.Digest, commit: at, trust: counts.id}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verdicts[w.Action.ID] = v
	return v, nil
}

func refuse(format string, args ...any) (Verdict, error) {
	return Verdict{Refused: fmt.Sprintf(format, args...)}, nil
}

// File is where the file of an Action must lie.
func (j *Judge) File(id spec.ActionID) string {
	return path.Join(j.Path, "actions", string(id)+".yaml")
}

// find walks back from the revision to the commit that brought the Action's file in as it is there, and no further than to
// what is known.
func (j *Judge) find(w Work, known verdict) (Verdict, error) {
	file, at := j.File(w.Action.ID), w.Revision.Commit()
	tree, err := j.History.Snapshot(at)
	if err != nil {
		return Verdict{}, err
	}
	if info, err := tree.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return refuse("%s is a symbolic link or a submodule, and not a file", file)
	}
	content, err := tree.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return j.moved(file)
	}
	if err != nil {
		return Verdict{}, err
	}
	if spec.DigestBytes(content) != w.Action.Digest {
		return refuse("%s is not the file that was loaded", file)
	}
	blob, err := j.object(at, file)
	if err != nil {
		return Verdict{}, err
	}
	n := 0
	for c, err := range j.History.FirstParents(at) {
		if err != nil {
			return Verdict{}, err
		}
		if c.ID == known.commit {
			return known.Verdict, nil
		}
		if n++; n > maxHistory {
			return refuse("it came in more than %d commits ago", maxHistory)
		}
		before := ""
		if len(c.Parents) > 0 {
			if before, err = j.object(c.Parents[0], file); err != nil {
				return Verdict{}, err
			}
		}
		switch before {
		case blob:
			continue
		case "":
			return j.Merged(w, file, c, blob)
		}
		return refuse("%s", Changed(file, c))
	}
	return refuse("no commit brought %s in", file)
}

// Changed is why a file is not approved that a commit has changed after it was merged.
func Changed(file string, c remote.Commit) string {
	return fmt.Sprintf("%s was changed in commit %s by %s: what was approved is never changed", file, c.ID[:7], c.Author)
}

func (j *Judge) moved(from string) (Verdict, error) {
	return refuse("it is not in %s: an Action's file is never moved or copied", from)
}

// Merged decides whether the commit that brought the Action's file in, as the object blob, approves it. Work's Revision and
// Fleet are not asked where Trusted is set. An error says that a commit could not be read; it is no verdict.
func (j *Judge) Merged(w Work, file string, merge remote.Commit, blob string) (Verdict, error) {
	if want := j.File(w.Action.ID); file != want {
		return j.moved(want)
	}
	evidence := w.Action.Spec.Evidence
	if want := fmt.Sprintf("%s-%s-%d", evidence.Agent, evidence.Run, evidence.Exchange); string(w.Action.ID) != want {
		return refuse("its evidence belongs to the Action %s: an Action is never copied", want)
	}
	if branch, _, _ := strings.Cut(string(evidence.Revision), "@sha1:"); branch != j.Branch {
		return refuse("it was proposed for the branch %q, and this is %q: a merge approves on one branch alone", branch, j.Branch)
	}
	where := fmt.Sprintf("commit %s by %s", merge.ID[:7], merge.Author)
	switch {
	case len(merge.Parents) < 2:
		return refuse("pushed directly in %s: a direct push approves nothing, and neither does a squashed or rebased merge; only a signed merge of the proposal does", where)
	case len(merge.Parents) > 2:
		return refuse("merged together with others in %s: merge the proposal by itself", where)
	}
	fleet, err := j.FleetAt(merge.Parents[0])
	if err != nil {
		return Verdict{}, fmt.Errorf("read mainstay.yaml before %s: %w", where, err)
	}
	if fleet.Ledger == nil {
		return refuse("when it was merged in %s, mainstay.yaml pinned no ledger", where)
	}
	if genesis := w.trusted().Ledger.Genesis; fleet.Ledger.Genesis != genesis {
		return refuse("when it was merged in %s, mainstay.yaml pinned another ledger, and only that one knows whether it was executed: what is approved for one ledger is never executed under another", where)
	}
	trust := newTrust(fleet)
	signer, err := remote.VerifyCommit(merge, trust.approvers)
	if err != nil {
		return refuse("%s does not approve it: the merge must be signed by an approver that mainstay.yaml listed before it, and who is no reconciler: %v", where, err)
	}
	// Whoever may push chooses the merge's first parent, and so what mainstay.yaml said there. It is not enough alone.
	counts := newTrust(w.trusted())
	if err := signedBy(counts.approvers, signer, merge); err != nil {
		return refuse("%s does not approve it: its signer %s was an approver before the merge, and is none that counts now: %v", where, signer.Name, err)
	}
	head, err := j.History.Commit(merge.Parents[1])
	if err != nil {
		return Verdict{}, err
	}
	proposer, err := remote.VerifyCommit(head, trust.signers)
	if err != nil {
		return refuse("%s merges what no reconciler has proposed: %v", where, err)
	}
	if err := signedBy(counts.signers, proposer, head); err != nil {
		return refuse("%s merges what %s has proposed, which is no reconciler that counts now: %v", where, proposer.Name, err)
	}
	if reason, err := j.checkHead(w, head, blob); err != nil || reason != "" {
		return Verdict{Refused: reason}, err
	}
	v := Verdict{Approval: &spec.Approval{
		Merge: merge.ID, Head: head.ID, Approver: signer.Name, Key: signer.Fingerprint(),
	}, Proposer: proposer, By: same(counts.approvers, signer), Before: merge.Parents[0]}
	if why, err := j.MayApprove(w, v, v.By); err != nil || why != "" {
		return Verdict{Refused: fmt.Sprintf("%s does not approve it: %s", where, why)}, err
	}
	return v, nil
}

// MayApprove returns why a person could not approve the Action that a merge has brought in by the rules and owners that were
// there before the merge, or "". A commit that is broken never ran: the rules are those of the last one that is not. It is
// asked about who merged it, and about who lets it start once more.
func (j *Judge) MayApprove(w Work, v Verdict, by spec.Key) (string, error) {
	declared, err := InForce(j.History, j.DeclaredAt, v.Before)
	if err != nil {
		return "", err
	}
	if len(declared) == 0 {
		return fmt.Sprintf("all that was declared before %s is broken, so that nobody knows who may approve it", v.Approval.Merge[:7]), nil
	}
	return j.MayApproveBy(w, v, by, declared)
}

// MayApproveBy is MayApprove by what is declared at another time. It is enough that the person may in one of the environments:
// each executor has its own, and asks about that alone.
func (j *Judge) MayApproveBy(w Work, v Verdict, by spec.Key, declared []Declared) (why string, err error) {
	tree, err := j.History.Snapshot(v.Before)
	if err != nil {
		return "", err
	}
	trusted := w.trusted()
	for _, d := range declared {
		why = approver.Check(approver.Question{
			Action: w.Action.Spec, File: j.File(w.Action.ID), By: by, Proposer: v.Proposer, Approvers: trusted.Approvers, Reconcilers: trusted.Ledger.Signers,
			Server: d.Fleet.Servers[w.Action.Spec.Server], Policies: d.Fleet.Policies, Tree: tree,
		})
		if why == "" {
			break
		}
	}
	return why, nil
}

// mayApproveNow returns why a person may not approve the Action that a merge has brought in by what is declared now, or "". It
// is asked each time, so that a rule that tightens holds for what is merged already.
func (e *Executor) mayApproveNow(w Work, v verdict, by spec.Key) (string, error) {
	now := &spec.Fleet{Servers: w.Fleet.Servers, Policies: w.policies()}
	return e.judge.MayApproveBy(w, v.Verdict, by, []Declared{{Fleet: now}})
}

// checkHead returns why the merged head is not the proposal of this Action, or "".
func (j *Judge) checkHead(w Work, head remote.Commit, blob string) (string, error) {
	file := j.File(w.Action.ID)
	proposed, err := j.object(head.ID, file)
	if err != nil {
		return "", err
	}
	if proposed != blob {
		return fmt.Sprintf("%s is not as it was proposed in commit %s: it was changed while it was merged", file, head.ID[:7]), nil
	}
	if len(head.Parents) != 1 {
		return fmt.Sprintf("commit %s is not one commit on top of its base", head.ID[:7]), nil
	}
	if before, err := j.object(head.Parents[0], file); err != nil || before != "" {
		return fmt.Sprintf("commit %s does not propose it: %s was there before", head.ID[:7], file), err
	}
	trailers := trailersOf(head.Message)
	if id := trailers[trailerAction]; id != string(w.Action.ID) {
		return fmt.Sprintf("commit %s proposes the Action %q and not %q", head.ID[:7], id, w.Action.ID), nil
	}
	if key := trailers[trailerKey]; key != string(w.Action.Spec.Evidence.Key) {
		return fmt.Sprintf("commit %s is the proposal %q and not %q", head.ID[:7], key, w.Action.Spec.Evidence.Key), nil
	}
	return "", nil
}

// trailersOf reads the last paragraph of a message. A trailer that is there twice is left out.
func trailersOf(message string) map[string]string {
	text := strings.TrimRight(message, "\n")
	trailers, twice := map[string]string{}, []string{}
	for line := range strings.SplitSeq(text[strings.LastIndex(text, "\n\n")+1:], "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		if _, seen := trailers[name]; seen {
			twice = append(twice, name)
		}
		trailers[name] = value
	}
	for _, name := range twice {
		delete(trailers, name)
	}
	return trailers
}

func (j *Judge) object(commit, file string) (string, error) { return objectAt(j.History, commit, file) }

// objectAt returns the id of the file at a path in a commit, or "" where there is none.
func objectAt(h History, commit, file string) (string, error) {
	tree, err := h.Snapshot(commit)
	if err != nil {
		return "", err
	}
	info, err := tree.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id, _ := info.Sys().(string)
	return id, nil
}
