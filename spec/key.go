package spec

import (
	"bytes"
	"crypto/rsa"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the shortest RSA key that may sign a commit, as in OpenSSH's own default.
const minRSABits = 2048

// Key is a public key that may sign commits, under the name that people know its owner by.
type Key struct {
	Name string
	SSH  ssh.PublicKey
}

// ParseKey reads one line in the authorized_keys format of sshd(8): `ssh-ed25519 AAAA... comment`. Options before the
// key, certificates, DSA keys and RSA keys under 2048 bits are refused, and so is anything after the line.
func ParseKey(name, authorizedKeyLine string) (Key, error) {
	pub, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(authorizedKeyLine))
	if err != nil {
		return Key{}, fmt.Errorf("key of %q is not an SSH public key: use the line from its .pub file, such as `ssh-ed25519 AAAA...`", name)
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

// Fingerprint returns the key's fingerprint as ssh-keygen -l prints it: `SHA256:` and unpadded base64. It is "" for a
// Key without a public key.
func (k Key) Fingerprint() string {
	if k.SSH == nil {
		return ""
	}
	return ssh.FingerprintSHA256(k.SSH)
}

// Same reports whether both are the same public key, whatever their names.
func (k Key) Same(other ssh.PublicKey) bool {
	return k.SSH != nil && other != nil && bytes.Equal(k.SSH.Marshal(), other.Marshal())
}
