package remote

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"github.com/hiddeco/sshsig"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/pgp"
)

// VerifyCommit returns which of the listed keys signed c, with SSH or OpenPGP. The error has [ErrUnsigned] where there is no
// signature, and [ErrUnknownSigner] where it is by another key, does not match the commit, or is written as git never
// writes one.
func VerifyCommit(c Commit, keys []spec.Key) (spec.Key, error) {
	k, err := verify(signed{payload: c.Payload, signature: c.Signature, doubt: c.doubt}, keys)
	if err != nil {
		return spec.Key{}, fmt.Errorf("commit %s: %w", c.ID, err)
	}
	return k, nil
}

// signed is what was signed, and with what.
type signed struct {
	payload, signature []byte
	// doubt is why the signature counts for nothing, whoever made it; "" for no reason.
	doubt string
}

func verify(s signed, keys []spec.Key) (spec.Key, error) {
	switch {
	case s.doubt != "":
		return spec.Key{}, fmt.Errorf("%w: %s", ErrUnknownSigner, s.doubt)
	case len(s.signature) == 0:
		return spec.Key{}, fmt.Errorf("%w: sign it, a commit with git commit -S and a tag with git tag -s", ErrUnsigned)
	case pgp.IsSignature(s.signature):
		return verifyPGP(s, keys)
	case bytes.HasPrefix(bytes.TrimSpace(s.signature), []byte("-----BEGIN "+sshsig.PEMType+"-----")):
		return verifySSH(s, keys)
	}
	return spec.Key{}, fmt.Errorf("%w, or with neither SSH nor OpenPGP: set gpg.format", ErrUnsigned)
}

func verifySSH(s signed, keys []spec.Key) (spec.Key, error) {
	block, rest := pem.Decode(s.signature)
	if block == nil || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return spec.Key{}, fmt.Errorf("%w: it does not hold one signature and nothing more", ErrUnknownSigner)
	}
	sig, err := sshsig.ParseSignature(block.Bytes)
	if err != nil {
		return spec.Key{}, fmt.Errorf("%w: the signature cannot be read: %w", ErrUnknownSigner, err)
	}
	by := spec.Key{SSH: sig.PublicKey}
	for _, k := range keys {
		if !k.Same(by) {
			continue
		}
		if err := sshsig.Verify(bytes.NewReader(s.payload), sig, k.SSH, sig.HashAlgorithm, namespace); err != nil {
			return spec.Key{}, notBy(k, by.Fingerprint(), err)
		}
		return k, nil
	}
	return spec.Key{}, notListed("SSH key "+by.Fingerprint(), keys)
}

func verifyPGP(s signed, keys []spec.Key) (spec.Key, error) {
	sig, err := pgp.ParseSignature(s.signature)
	if err != nil {
		return spec.Key{}, fmt.Errorf("%w: its OpenPGP signature counts for nothing: %w", ErrUnknownSigner, err)
	}
	for _, k := range keys {
		if k.PGP == nil || !sig.By(k.PGP) {
			continue
		}
		if err := sig.Verify(k.PGP, s.payload); err != nil {
			return spec.Key{}, notBy(k, k.Fingerprint(), err)
		}
		return k, nil
	}
	return spec.Key{}, notListed("OpenPGP key "+sig.Issuer(), keys)
}

func notBy(k spec.Key, fingerprint string, err error) error {
	return fmt.Errorf("%w: the signature by %s (%s) does not count: %w", ErrUnknownSigner, k.Name, fingerprint, err)
}

func notListed(by string, keys []spec.Key) error {
	return fmt.Errorf("%w: it is signed by the %s, which is none of the %d listed", ErrUnknownSigner, by, len(keys))
}
