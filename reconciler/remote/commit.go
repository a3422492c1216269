package remote

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Commit is one commit as it is written in the object.
type Commit struct {
	ID      string
	Tree    string
	Parents []string
	// Author and Committer are `Name <address>`; When is the committer's time.
	Author    string
	Committer string
	When      time.Time
	Message   string
	// Signature is the armored signature, or empty. Payload is what it signs: the object without the signature.
	Signature []byte
	Payload   []byte
	// doubt is why the signature counts for nothing; "" for no reason.
	doubt string
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	subject, _, _ := strings.Cut(c.Message, "\n")
	return subject
}

// Commit reads a commit of the store. The error has [ErrMissing] if it is not there.
func (r *Remote) Commit(id string) (Commit, error) {
	h, err := parseID(id)
	if err != nil {
		return Commit{}, err
	}
	if !r.store.has(h) {
		return Commit{}, fmt.Errorf("commit %s: %w: fetch it first", id, ErrMissing)
	}
	b, err := r.store.need(plumbing.CommitObject, h)
	if err != nil {
		return Commit{}, err
	}
	c, err := parseCommit(b)
	if err != nil {
		return Commit{}, fmt.Errorf("commit %s: %w", id, err)
	}
	c.ID = id
	return c, nil
}

// parseCommit decodes the content of a commit object. It takes the headers only in git's own order, so that nobody can
// read another tree or parent out of the same signed bytes.
func parseCommit(b []byte) (Commit, error) {
	head, message, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		head, message = bytes.TrimSuffix(b, []byte("\n")), nil
	}
	c := Commit{Message: strings.ToValidUTF8(string(message), "\uFFFD")}
	all := headers(head)
	lines := all
	next := func(key string) (string, bool) {
		if len(lines) == 0 {
			return "", false
		}
		value, ok := strings.CutPrefix(string(lines[0]), key+" ")
		if ok {
			lines = lines[1:]
			value = strings.TrimSuffix(value, "\n")
		}
		return value, ok
	}
	if c.Tree, ok = next("tree"); !ok || !isID(c.Tree) {
		return Commit{}, errors.New("malformed: it does not begin with its tree")
	}
	for {
		parent, ok := next("parent")
		if !ok {
			break
		}
		if !isID(parent) {
			return Commit{}, fmt.Errorf("malformed: the parent %q", parent)
		}
		c.Parents = append(c.Parents, parent)
	}
	author, ok := next("author")
	if !ok {
		return Commit{}, errors.New("malformed: it has no author after its parents")
	}
	c.Author, _ = splitPerson(author)
	committer, ok := next("committer")
	if !ok {
		return Commit{}, errors.New("malformed: it has no committer after its author")
	}
	c.Committer, c.When = splitPerson(committer)
	payload := bytes.NewBuffer(bytes.Join(all[:len(all)-len(lines)], nil))
	for _, l := range lines {
		key, value, _ := bytes.Cut(l, []byte(" "))
		switch string(key) {
		case "tree", "parent", "author", "committer":
			return Commit{}, fmt.Errorf("malformed: a second %s", key)
		case "gpgsig":
			if c.Signature != nil {
				c.doubt = "it carries two signatures, and nobody knows which one counts"
			}
			c.Signature = bytes.ReplaceAll(value, []byte("\n "), []byte("\n"))
		case "gpgsig-sha256": // Git leaves it out of what the other signature signs.
		default:
			if c.Signature != nil {
				c.doubt = fmt.Sprintf("its header %.32q comes after the signature, where git writes none", key)
			}
			payload.Write(l)
		}
	}
	if c.Signature != nil {
		payload.WriteByte('\n')
		payload.Write(message)
		c.Payload = payload.Bytes()
	}
	return c, nil
}

// headers splits the head of a commit into its headers, each with the lines that continue it, and each with the newline
// that ends it.
func headers(head []byte) [][]byte {
	var out [][]byte
	for line := range bytes.Lines(append(bytes.Clone(head), '\n')) {
		if len(out) > 0 && line[0] == ' ' {
			last := len(out) - 1
			out[last] = append(out[last], line...)
			continue
		}
		out = append(out, bytes.Clone(line))
	}
	return out
}

func isID(s string) bool { return len(s) == 40 && plumbing.IsHash(s) }

// splitPerson reads `Name <address> seconds zone`. A malformed time is the zero time.
func splitPerson(s string) (string, time.Time) {
	end := strings.LastIndexByte(s, '>')
	if end < 0 {
		return strings.ToValidUTF8(s, "\uFFFD"), time.Time{}
	}
	who := strings.ToValidUTF8(s[:end+1], "\uFFFD")
	seconds, zone, _ := strings.Cut(strings.TrimSpace(s[end+1:]), " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return who, time.Time{}
	}
	at := time.Unix(n, 0).UTC()
	if z, err := time.Parse("-0700", zone); err == nil {
		at = at.In(z.Location())
	}
	return who, at
}
