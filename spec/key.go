package spec

import (
	"bytes"
	"crypto/rsa"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/mainstay-dev/mainstay/spec/pgp"
)

// minRSABits is the shortest RSA key that may sign a commit, as in OpenSSH's own default.
const minRSABits = 2048

// Key is a public key that may sign commits, under the name that people know its owner by. One of SSH and PGP is set.
type Key struct {
	Name string
	SSH  ssh.PublicKey
	PGP  *pgp.Key
	// CodeOwner are the names by which CODEOWNERS files know the owner.
	CodeOwner []string
}

// ParseKey reads a public key: a line in the authorized_keys format of sshd(8), `ssh-ed25519 AAAA... comment`, or an armored
// OpenPGP key. Options before an SSH key, certificates, DSA keys and RSA keys under 2048 bits are refused, and so is
// anything after the key. Package pgp says which OpenPGP keys are.
func ParseKey(name, text string) (Key, error) {
	if pgp.IsKey(text) {
		k, err := pgp.ParseKey(text)
		if err != nil {
			return Key{}, fmt.Errorf("OpenPGP key of %q cannot be used: %w", name, err)
		}
		return Key{Name: name, PGP: k}, nil
	}
	pub, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return Key{}, fmt.Errorf("key of %q is neither an SSH nor an OpenPGP public key: use the line from its .pub file, such as `ssh-ed25519 AAAA...`, or what `gpg --armor --export` prints", name)
	}
	if len(options) > 0 {
		return Key{}, fmt.Errorf("key of %q has options before the key: remove %q", name, options[0])
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, fmt.Errorf("key of %q is more than one line: list each key by itself", name)
	}
	switch pub.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
	case ssh.KeyAlgoRSA:
		if c, ok := pub.(ssh.CryptoPublicKey); ok {
			if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
				return Key{}, fmt.Errorf("key of %q is an RSA key of %d bits: use ed25519, or RSA with at least %d bits", name, k.N.BitLen(), minRSABits)
			}
		}
	default:
		return Key{}, fmt.Errorf("key of %q has the type %s: use ed25519, ECDSA or RSA", name, pub.Type())
	}
	return Key{Name: name, SSH: pub}, nil
}

// Fingerprint returns the key's whole fingerprint: of an SSH key `SHA256:` and unpadded base64, as ssh-keygen -l prints it; of
// an OpenPGP key upper-case hexadecimal characters, as gpg --fingerprint prints it without blanks. It is "" for a Key without
// a public key.
func (k Key) Fingerprint() string {
	switch {
	case k.SSH != nil:
		return ssh.FingerprintSHA256(k.SSH)
	case k.PGP != nil:
		return k.PGP.Fingerprint()
	}
	return ""
}

// Same reports whether both are the same public key, whatever their names. An OpenPGP key is the same with other subkeys,
// another expiry or a revocation; see [Key.Equal].
func (k Key) Same(other Key) bool {
	f := k.Fingerprint()
	return f != "" && f == other.Fingerprint()
}

// Equal reports whether both are the same public key, and would take the same signatures: an OpenPGP key from which somebody
// has taken a revocation away is another one.
func (k Key) Equal(other Key) bool {
	if k.PGP != nil && other.PGP != nil {
		return bytes.Equal(k.PGP.Bytes(), other.PGP.Bytes())
	}
	return k.Same(other)
}

// Digest is over all that [Key.Equal] compares.
func (k Key) Digest() Digest {
	switch {
	case k.SSH != nil:
		return DigestBytes(k.SSH.Marshal())
	case k.PGP != nil:
		return DigestBytes(k.PGP.Bytes())
	}
	return ""
}
