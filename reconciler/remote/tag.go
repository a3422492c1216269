package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/mainstay-dev/mainstay/spec"
)

const (
	tags   = "refs/tags/"
	peeled = "^{}"
	// maxTagsOf bounds the tags of one commit that are looked at.
	maxTagsOf = 32
)

// Tag is an annotated tag of a commit, as it is written in the object.
type Tag struct {
	// ID is that of the tag's own object, Name what the tag is called, and Commit what it is of.
	ID, Name, Commit string
	// Tagger is `Name <address>`, or "".
	Tagger string
	// Signature is the armored signature, or empty. Payload is what it signs: the object without the signature.
	Signature []byte
	Payload   []byte
	doubt     string
}

// TagsOf fetches the annotated tags of a commit that the remote has now, sorted by name; of more than 32, the first.
func (r *Remote) TagsOf(ctx context.Context, commit string) ([]Tag, error) {
	found, err := r.listTags(ctx, commit)
	if err != nil {
		return nil, err
	}
	names := sortedKeys(found)
	var out []Tag
	for _, name := range names[:min(len(names), maxTagsOf)] {
		t, err := r.fetchTag(ctx, name, found[name])
		if err != nil {
			return nil, err
		}
		if t.Commit != commit && t.doubt == "" { // The remote has only said so.
			t.doubt = "it is not of this commit"
		}
		out = append(out, t)
	}
	return out, nil
}

// listTags asks the remote for the tags of a commit: their names, and the ids of their own objects.
func (r *Remote) listTags(ctx context.Context, commit string) (map[string]plumbing.Hash, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	auth, err := r.at.login(ctx)
	if err != nil {
		return nil, r.unreachable(ctx, "list the tags of", err)
	}
	refs, err := git.NewRemote(memory.NewStorage(), r.config()).ListContext(ctx, &git.ListOptions{Auth: auth, PeelingOption: git.AppendPeeled})
	if err != nil && !errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, r.unreachable(ctx, "list the tags of", err)
	}
	ids, of := map[string]plumbing.Hash{}, map[string]bool{}
	for _, ref := range refs {
		name, ok := strings.CutPrefix(ref.Name().String(), tags)
		if !ok || ref.Type() != plumbing.HashReference {
			continue
		}
		if annotated, ok := strings.CutSuffix(name, peeled); ok {
			of[annotated] = ref.Hash().String() == commit
			continue
		}
		ids[name] = ref.Hash()
	}
	for name := range ids {
		if !of[name] {
			delete(ids, name)
		}
	}
	return ids, nil
}

func (r *Remote) fetchTag(ctx context.Context, name string, id plumbing.Hash) (Tag, error) {
	if !r.store.has(id) {
		release, err := r.acquire(ctx)
		if err != nil {
			return Tag{}, r.unreachable(ctx, "fetch a tag of", err)
		}
		defer release()
		into := wanted + name
		defer delete(r.git.ReferenceStorage, plumbing.ReferenceName(into))
		if err := r.fetch(ctx, tags+name+":"+into, false); err != nil {
			return Tag{}, err
		}
	}
	b, err := r.store.need(plumbing.TagObject, id)
	if err != nil {
		return Tag{}, fmt.Errorf("read the tag %s of %s: %w", name, r.at.url, err)
	}
	t, err := parseTag(b)
	if err != nil {
		t = Tag{doubt: err.Error()} // Somebody may have pushed anything; it is a tag that nobody has signed.
	}
	if err == nil && t.Name != name {
		t.doubt = fmt.Sprintf("it was made as the tag %q, and renamed", t.Name)
	}
	t.ID, t.Name = id.String(), name
	return t, nil
}

// VerifyTag returns which of the listed keys signed t. Its errors are those of [VerifyCommit].
func VerifyTag(t Tag, keys []spec.Key) (spec.Key, error) {
	k, err := verify(signed{payload: t.Payload, signature: t.Signature, doubt: t.doubt}, keys)
	if err != nil {
		return spec.Key{}, fmt.Errorf("tag %s: %w", t.Name, err)
	}
	return k, nil
}

// signatureMarks begin the line that a tag's signature begins with.
var signatureMarks = [][]byte{[]byte("-----BEGIN PGP "), []byte("-----BEGIN SSH SIGNATURE-----")}

// parseTag decodes the content of an annotated tag of a commit. It takes the headers in git's own order alone, and a
// signature only at the end of the message.
func parseTag(b []byte) (Tag, error) {
	head, message, _ := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	next := func(key string) (string, error) {
		if len(lines) == 0 {
			return "", fmt.Errorf("malformed: it has no %s", key)
		}
		value, ok := strings.CutPrefix(lines[0], key+" ")
		if !ok {
			return "", fmt.Errorf("malformed: it has no %s where git writes it", key)
		}
		lines = lines[1:]
		return value, nil
	}
	var t Tag
	var err error
	if t.Commit, err = next("object"); err == nil && !isID(t.Commit) {
		err = errors.New("malformed: it is of no object")
	}
	var kind string
	if err == nil {
		kind, err = next("type")
	}
	if err == nil && kind != "commit" {
		err = fmt.Errorf("it is a tag of a %.20q, and not of a commit", kind)
	}
	if err == nil {
		t.Name, err = next("tag")
	}
	if err != nil {
		return Tag{}, err
	}
	if tagger, err := next("tagger"); err == nil {
		t.Tagger, _ = splitPerson(tagger)
	}
	if len(lines) > 0 {
		return Tag{}, errors.New("malformed: it has a header that git does not write")
	}
	begins := -1
	at := len(b) - len(message)
	for line := range bytes.Lines(message) {
		if slices.ContainsFunc(signatureMarks, func(mark []byte) bool { return bytes.HasPrefix(line, mark) }) {
			if begins >= 0 {
				t.doubt = "it carries two signatures, and nobody knows which one counts"
			}
			begins = at
		}
		at += len(line)
	}
	if begins >= 0 {
		t.Payload, t.Signature = b[:begins], b[begins:]
	}
	return t, nil
}
