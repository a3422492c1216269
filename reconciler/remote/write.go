package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of one commit.
const (
	maxEdits     = 1_000
	maxEditBytes = 64 << 20
	maxMessage   = 1 << 20
	maxPath      = 4_096
)

// CommitDraft is a commit to be made. With the same fields and an ed25519 or RSA key it is always the same commit.
type CommitDraft struct {
	// Base is the commit whose files the edits change; empty for no files.
	Base string
	// Parents are commits in the store.
	Parents []string
	// Edits name each path once. A file keeps its mode; a new one is not executable.
	Edits   []spec.FileEdit
	Message string
	// AuthorName and AuthorEmail are the author's and the committer's, and When is both times, to the second.
	AuthorName  string
	AuthorEmail string
	When        time.Time
	// Signer signs the commit; nil leaves it unsigned.
	Signer *Signer
}

// WriteCommit makes a commit in the store and returns its id. Nothing reaches the remote before a push. It refuses paths
// that are not relative and clean, that hold a .git folder, or that lead through a link, a submodule or a file, with an
// [*EditError].
func (r *Remote) WriteCommit(d CommitDraft) (string, error) {
	root, err := r.treeOf(d.Base)
	if err != nil {
		return "", err
	}
	w := &writing{r: r, objects: memory.NewStorage()}
	root, err = w.edit(root, d.Edits)
	if err != nil {
		return "", err
	}
	return w.commit(root, d)
}

// writing collects the objects of one commit.
type writing struct {
	r       *Remote
	objects *memory.Storage
	hashes  []plumbing.Hash
}

// put adds an object, unless the store has it.
func (w *writing) put(t plumbing.ObjectType, b []byte) (plumbing.Hash, error) {
	o := newObject(t, b)
	h := o.Hash()
	if w.r.store.has(h) || w.objects.HasEncodedObject(h) == nil {
		return h, nil
	}
	w.hashes = append(w.hashes, h)
	return w.objects.SetEncodedObject(o)
}

// flush writes the objects as one pack, so that all of a commit is in the store or nothing.
func (w *writing) flush() error {
	if len(w.hashes) == 0 {
		return nil
	}
	out, err := w.r.store.newPackWriter()
	if err != nil {
		return err
	}
	if _, err := packfile.NewEncoder(out, w.objects, false).Encode(w.hashes, 0); err != nil {
		return errors.Join(err, out.discard())
	}
	return out.Close()
}

// change is an edit, or the edits beneath a folder.
type change struct {
	file    *spec.FileEdit
	beneath map[string]*change
	// restored is what takes the place of whatever is there; one without a hash is nothing. Nil is no such change.
	restored *entry
}

func (w *writing) edit(root plumbing.Hash, edits []spec.FileEdit) (plumbing.Hash, error) {
	if len(edits) > maxEdits {
		return root, badEdit("%w: %d edits in one commit, and the limit is %d", ErrTooLarge, len(edits), maxEdits)
	}
	top := &change{beneath: map[string]*change{}}
	total := 0
	for i := range edits {
		if total += len(edits[i].Content); total > maxEditBytes {
			return root, badEdit("%w: more than %d bytes in one commit", ErrTooLarge, maxEditBytes)
		}
		if err := checkPath(edits[i].Path); err != nil {
			return root, err
		}
		if err := top.add(&edits[i]); err != nil {
			return root, err
		}
	}
	if len(edits) == 0 {
		if root.IsZero() {
			return w.put(plumbing.TreeObject, nil)
		}
		return root, nil
	}
	h, err := w.folder("", root, top)
	if err != nil || !h.IsZero() {
		return h, err
	}
	return w.put(plumbing.TreeObject, nil)
}

func (c *change) add(e *spec.FileEdit) error {
	at := c
	for name := range strings.SplitSeq(e.Path, "/") {
		if at.file != nil {
			return badEdit("edit %s: %s is edited as a file as well", e.Path, at.file.Path)
		}
		next := at.beneath[name]
		if next == nil {
			next = &change{beneath: map[string]*change{}}
			at.beneath[name] = next
		}
		at = next
	}
	if at.file != nil {
		return badEdit("edit %s: it is edited twice", e.Path)
	}
	if len(at.beneath) > 0 {
		return badEdit("edit %s: files beneath it are edited as well", e.Path)
	}
	at.file = e
	return nil
}

// checkPath refuses what could mean another place in a repository or, checked out, on a disk.
func checkPath(name string) error {
	if !fs.ValidPath(name) || name == "." || len(name) > maxPath {
		return badEdit("edit %.200q: not a clean relative path", name)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return badEdit("edit %.200q: the path has a backslash or a control character", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		// Some file systems drop trailing dots and spaces, zero-width characters and case; some know short names.
		plain := strings.ToLower(strings.TrimRight(strings.Map(visible, part), ". "))
		if plain == ".git" || plain == "git~1" || strings.HasPrefix(plain, ".git:") {
			return badEdit("edit %q: the path leads into Git's own folder", name)
		}
	}
	return nil
}

// visible drops the characters that HFS+ ignores in names, which git refuses beside ".git" for the same reason.
func visible(r rune) rune {
	switch {
	case r >= 0x200c && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f, r == 0xfeff:
		return -1
	}
	return r
}

// folder applies changes to a tree and returns the new one; the zero hash if nothing is left in it.
func (w *writing) folder(at string, h plumbing.Hash, c *change) (plumbing.Hash, error) {
	old, err := w.r.reader.tree(h)
	if err != nil {
		return h, err
	}
	entries := map[string]entry{}
	for _, e := range old.entries {
		entries[e.name] = e
	}
	for _, name := range sortedKeys(c.beneath) {
		here := path.Join(at, name)
		had, exists := entries[name]
		e, err := w.apply(here, had, exists, c.beneath[name])
		if err != nil {
			return h, err
		}
		if e.hash.IsZero() {
			delete(entries, name)
			continue
		}
		e.name = name
		entries[name] = e
	}
	return w.putTree(entries)
}

func (w *writing) putTree(entries map[string]entry) (plumbing.Hash, error) {
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	list := make([]entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	return w.put(plumbing.TreeObject, encodeTree(list))
}

// apply returns what a change makes of an entry; one without a hash is gone.
func (w *writing) apply(at string, had entry, exists bool, c *change) (entry, error) {
	if c.restored != nil {
		return *c.restored, nil
	}
	if exists {
		switch {
		case had.mode == filemode.Symlink:
			return had, badEdit("edit %s: it is a symbolic link, and links are never followed", at)
		case had.mode == filemode.Submodule:
			return had, badEdit("edit %s: it is a submodule", at)
		case had.isTree() && c.file != nil:
			return had, badEdit("edit %s: it is a folder", at)
		case !had.isTree() && c.file == nil:
			return had, badEdit("edit beneath %s: it is a file", at)
		}
	}
	if c.file == nil {
		h, err := w.folder(at, had.hash, c)
		return entry{mode: filemode.Dir, hash: h}, err
	}
	if c.file.Remove {
		if !exists {
			return had, badEdit("remove %s: there is no such file", at)
		}
		return entry{}, nil
	}
	mode := filemode.Regular
	if exists {
		mode = had.mode
	}
	h, err := w.put(plumbing.BlobObject, []byte(c.file.Content))
	return entry{mode: mode, hash: h}, err
}

// commit adds the commit object, signed, and writes everything.
func (w *writing) commit(root plumbing.Hash, d CommitDraft) (string, error) {
	for _, id := range d.Parents {
		if _, err := w.r.Commit(id); err != nil {
			return "", err
		}
	}
	b, err := encodeCommit(root, d)
	if err != nil {
		return "", err
	}
	h, err := w.put(plumbing.CommitObject, b)
	if err != nil {
		return "", fmt.Errorf("write a commit: %w", err)
	}
	if err := w.flush(); err != nil {
		return "", fmt.Errorf("write a commit: %w", err)
	}
	return h.String(), w.r.tidy()
}

func encodeCommit(root plumbing.Hash, d CommitDraft) ([]byte, error) {
	if strings.ContainsAny(d.AuthorName+d.AuthorEmail, "<>\n\x00") || d.AuthorName == "" {
		return nil, fmt.Errorf("write a commit: %q <%q> cannot be an author: leave out < > and line breaks", d.AuthorName, d.AuthorEmail)
	}
	if strings.ContainsRune(d.Message, 0) || strings.TrimSpace(d.Message) == "" || len(d.Message) > maxMessage {
		return nil, fmt.Errorf("write a commit: the message is empty, holds a NUL or is longer than %d bytes", maxMessage)
	}
	if d.When.Unix() < 0 {
		return nil, fmt.Errorf("write a commit: the time %s is before 1970", d.When)
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "tree %s\n", root)
	for _, id := range d.Parents {
		fmt.Fprintf(&head, "parent %s\n", id)
	}
	who := fmt.Sprintf("%s <%s> %d %s", d.AuthorName, d.AuthorEmail, d.When.Unix(), d.When.Format("-0700"))
	fmt.Fprintf(&head, "author %s\ncommitter %s\n", who, who)
	body := "\n" + strings.TrimRight(d.Message, "\n") + "\n"
	if d.Signer == nil {
		return []byte(head.String() + body), nil
	}
	sig, err := d.Signer.Sign([]byte(head.String()+body), d.When)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&head, "gpgsig %s\n", bytes.ReplaceAll(sig, []byte("\n"), []byte("\n ")))
	return []byte(head.String() + body), nil
}
