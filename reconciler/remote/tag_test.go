package remote

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/pgp/pgptest"
)

func TestTagsOfACommit(t *testing.T) {
	path, key := newKey(t, "ed25519")
	_, other := newKey(t, "ed25519")
	o := newOrigin(t)
	o.git("config", "gpg.format", "ssh")
	o.git("config", "user.signingkey", path)
	first := o.commit(map[string]string{"a": "1"})
	second := o.commit(map[string]string{"a": "2"})
	o.git("tag", "-s", "-m", "release one", "v1", first)
	o.git("tag", "-s", "-m", "release two", "v2", second)
	o.git("tag", "-a", "-m", "nobody signs", "plain", second)
	o.git("tag", "light", second)
	o.git("push", "-q", "origin", "main", "--tags")
	// A tag that is pushed under another name is not what its signer has called it.
	o.git("push", "-q", "origin", "v2^{tag}:refs/tags/latest")
	r := o.open(Options{})
	fetch(t, r)
	tagsOf, err := r.TagsOf(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tag := range tagsOf {
		by, err := VerifyTag(tag, []spec.Key{other, key})
		says := by.Name
		if err != nil {
			says = err.Error()
		}
		got = append(got, tag.Name+": "+says)
	}
	want := []string{`latest: tag latest: it is not signed with a listed key: it was made as the tag "v2", and renamed`,
		"plain: tag plain: it is not signed: sign it", "v2: anna"}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if len(tagsOf) == 3 {
		_, err = VerifyTag(tagsOf[2], []spec.Key{other})
		wantIs(t, err, ErrUnknownSigner)
		if tagsOf[2].Commit != second {
			t.Errorf("v2 is of %s, want %s", tagsOf[2].Commit, second)
		}
	}
	if none, err := r.TagsOf(t.Context(), strings.Repeat("1", 40)); err != nil || len(none) != 0 {
		t.Errorf("got %v and %v", none, err)
	}
}

func TestTagsThatHideSomething(t *testing.T) {
	s, key, _ := newPGP(t, "anna")
	id := strings.Repeat("1", 40)
	head := "object " + id + "\ntype commit\ntag v1\ntagger A <a@b> 1600000000 +0000\n"
	sign := func(payload string) string {
		sig, err := s.Sign([]byte(payload), pgptest.Born)
		if err != nil {
			t.Fatal(err)
		}
		return string(sig) + "\n"
	}
	good := head + "\nhello\n"
	for _, tt := range []struct{ name, tag, want string }{
		{"as git writes it", good + sign(good), ""},
		{"two signatures", good + sign(good) + sign(good), "two signatures"},
		{"text after the signature", good + sign(good) + "and more\n", "counts for nothing"},
		{"another message", good + "!\n" + sign(good), "does not count"},
		{"of a tree", strings.Replace(good, "commit", "tree", 1) + sign(good), "not of a commit"},
		{"another header", strings.Replace(good, "tagger", "gpgsig x\ntagger", 1), "does not write"},
		{"unsigned", good, "not signed"},
		{"nothing", "", "no object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tag, err := parseTag([]byte(tt.tag))
			if err == nil {
				_, err = VerifyTag(tag, []spec.Key{key})
			}
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantSays(t, err, tt.want)
		})
	}
}

func FuzzParseTag(f *testing.F) {
	f.Add([]byte("object " + strings.Repeat("1", 40) + "\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nhello\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, err := parseTag(b)
		if err != nil || tag.Signature == nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(tag.Payload), tag.Signature...), b) {
			t.Fatalf("%q is signed with %q in %q", tag.Payload, tag.Signature, b)
		}
	})
}
