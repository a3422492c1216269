package execute

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/pgp/pgptest"
)

// Whoever may push chooses the mainstay.yaml before a merge, and can list a key there as it was before it was revoked.
func TestAKeyThatWasRevokedDoesNotCountAsItWasBefore(t *testing.T) {
	person := pgptest.New(t, "ada")
	before := pgptest.Public(t, person)
	file := filepath.Join(t.TempDir(), "ada.asc")
	if err := os.WriteFile(file, []byte(pgptest.Private(t, person, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := remote.LoadSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := person.RevokeKey(packet.KeySuperseded, "there is another one", pgptest.Config(pgptest.Born.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	old, err := spec.ParseKey("ada", before)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := spec.ParseKey("ada", pgptest.Public(t, person))
	if err != nil {
		t.Fatal(err)
	}
	r, err := remote.Open(t.Context(), remote.Options{URL: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	id, err := r.WriteCommit(remote.CommitDraft{Message: "Merge", AuthorName: "Ada", AuthorEmail: "ada@example.com",
		When: pgptest.Born.Add(24 * time.Hour), Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Commit(id)
	if err != nil {
		t.Fatal(err)
	}
	key, err := remote.VerifyCommit(c, []spec.Key{old})
	if err != nil {
		t.Fatal(err)
	}
	if err := signedBy([]spec.Key{old}, key, c); err != nil {
		t.Errorf("the key as it is listed: %v", err)
	}
	if err := signedBy([]spec.Key{revoked}, key, c); err == nil {
		t.Error("it counts though it was revoked")
	}
}
