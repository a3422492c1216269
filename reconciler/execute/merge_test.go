package execute_test

import (
	"context"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

func (w *world) write(name, content string) {
	w.Helper()
	w.ok(os.WriteFile(name, []byte(content), 0o600))
}

// stranger returns a key that nobody lists.
func (w *world) stranger() *remote.Signer {
	w.Helper()
	s, err := remote.GenerateSigner(filepath.Join(w.TempDir(), "key"), "stranger")
	w.ok(err)
	return s
}

func (w *world) draft(parent, message string, signer *remote.Signer) remote.CommitDraft {
	return remote.CommitDraft{Base: parent, Parents: []string{parent}, Message: message, Signer: signer}
}

// mergeByHand merges a proposal, and changes files in the merge.
func (w *world) mergeByHand(n int, signer *remote.Signer, files map[string]string) {
	w.Helper()
	w.mergeBranch(w.branch(n), signer, files)
}

// mergeBranch merges a branch with whatever signature, and changes files in the merge.
func (w *world) mergeBranch(branch string, signer *remote.Signer, files map[string]string) {
	w.Helper()
	r := w.clone()
	d := remote.MergeDraft{
		Ours: w.tip("main"), Theirs: w.tip(branch), Message: "Merge " + branch, AuthorName: "Someone", AuthorEmail: "someone@example.com",
		When: w.clock.now(), Signer: signer,
	}
	merge, err := r.Merge(d)
	w.ok(err)
	if len(files) > 0 {
		c := remote.CommitDraft{
			Base: merge, Parents: []string{d.Ours, d.Theirs}, Message: d.Message, AuthorName: d.AuthorName, AuthorEmail: d.AuthorEmail,
			When: d.When, Signer: signer,
		}
		for name, content := range files {
			c.Edits = append(c.Edits, spec.FileEdit{Path: name, Content: content})
		}
		merge, err = r.WriteCommit(c)
		w.ok(err)
	}
	w.ok(r.Push(context.Background(), "main", d.Ours, merge))
}

// mergeWithGit makes the merge's tree with git, as a person would, and signs the commit.
func (w *world) mergeWithGit(branch string, signer *remote.Signer) {
	w.Helper()
	work := filepath.Join(w.TempDir(), "work")
	w.git("", "clone", "-q", w.dir, work)
	ours, theirs := w.tip("main"), w.tip(branch)
	w.git(work, "merge", "-q", "--no-ff", "-m", "Merge "+branch, "origin/"+branch)
	w.git(work, "push", "-q", "origin", "HEAD:unsigned")
	w.push("main", remote.CommitDraft{Base: w.tip("unsigned"), Parents: []string{ours, theirs}, Message: "Merge " + branch, Signer: signer}, nil)
}
