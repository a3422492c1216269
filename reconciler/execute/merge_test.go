package execute_test

import (
	"context"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
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

// mergeByHand merges a proposal as a person would with git, and changes files in the merge.
func (w *world) mergeByHand(n int, signer *remote.Signer, files map[string]string) {
	w.Helper()
	w.mergeBranch("mainstay/triage/"+string(key(n)), signer, files)
}

// mergeBranch makes the merge's tree with git, and signs the commit where there is a signer.
func (w *world) mergeBranch(branch string, signer *remote.Signer, files map[string]string) {
	w.Helper()
	work := filepath.Join(w.TempDir(), "work")
	w.git("", "clone", "-q", w.dir, work)
	ours, theirs := w.tip("main"), w.tip(branch)
	w.git(work, "merge", "-q", "--no-ff", "--no-commit", "origin/"+branch)
	for name, content := range files {
		w.write(filepath.Join(work, name), content)
	}
	w.git(work, "add", "-A")
	w.git(work, "commit", "-q", "-m", "Merge "+branch)
	if signer == nil {
		w.git(work, "push", "-q", "origin", "HEAD:main")
		return
	}
	w.git(work, "push", "-q", "origin", "HEAD:unsigned")
	merged := w.tip("unsigned")
	r := w.clone()
	w.git(w.dir, "branch", "-D", "unsigned")
	id, err := r.WriteCommit(remote.CommitDraft{
		Base: merged, Parents: []string{ours, theirs}, Message: "Merge " + branch, AuthorName: "Someone",
		AuthorEmail: "someone@example.com", When: w.clock.now(), Signer: signer,
	})
	w.ok(err)
	w.ok(r.Push(context.Background(), "main", ours, id))
}
