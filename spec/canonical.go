package spec

import "github.com/mainstay-dev/mainstay/spec/canonical"

// Canonical returns v as JSON in the one form that digests are over. See package canonical.
func Canonical(v any) ([]byte, error) { return canonical.JSON(v) }

// canonicalDigest is the digest of v's canonical form. An error means that v holds what JSON cannot say.
func canonicalDigest(v any) (Digest, error) {
	raw, err := Canonical(v)
	if err != nil {
		return "", err
	}
	return DigestBytes(raw), nil
}
