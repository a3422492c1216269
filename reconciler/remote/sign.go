package remote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/mainstay-dev/mainstay/spec"
)

// namespace is what git signs commits under, so that no other signature of the same key passes for one.
const namespace = "git"

// Signer signs commits with an SSH key, as git does with gpg.format=ssh.
type Signer struct {
	key ssh.Signer
}

// LoadSigner reads an OpenSSH private key: ed25519, ECDSA or RSA, without a passphrase.
func LoadSigner(path string) (*Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, fmt.Errorf("the signing key %s has a passphrase: use a key without one, such as `ssh-keygen -t ed25519 -N '' -f FILE` makes", path)
	}
	if err != nil {
		return nil, fmt.Errorf("the signing key %s is not an OpenSSH private key: use one that ssh-keygen made", path)
	}
	s := &Signer{key: key}
	if _, err := spec.ParseKey(path, s.AuthorizedKey()); err != nil {
		return nil, err
	}
	return s, nil
}

// GenerateSigner makes a new ed25519 key and writes it to path with mode 0600, and its public key to path.pub. It
// overwrites nothing: an existing file is an error with [os.ErrExist].
func GenerateSigner(path, comment string) (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	s := &Signer{key: key}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("write the signing key: %w", err)
	}
	line := strings.TrimSpace(s.AuthorizedKey()+" "+comment) + "\n"
	for _, f := range []struct {
		path string
		mode os.FileMode
		body []byte
	}{{path, 0o600, pem.EncodeToMemory(block)}, {path + ".pub", 0o644, []byte(line)}} {
		if err := writeNew(f.path, f.mode, f.body); err != nil {
			return nil, fmt.Errorf("write the signing key: %w", err)
		}
	}
	return s, nil
}

func writeNew(path string, mode os.FileMode, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}

// PublicKey returns the public half.
func (s *Signer) PublicKey() ssh.PublicKey { return s.key.PublicKey() }

// AuthorizedKey returns the public half as a line in the authorized_keys format, without a comment or newline.
func (s *Signer) AuthorizedKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.key.PublicKey())))
}

// Fingerprint returns the key's fingerprint as ssh-keygen -l prints it.
func (s *Signer) Fingerprint() string { return ssh.FingerprintSHA256(s.key.PublicKey()) }

// Sign returns the armored signature of payload (PROTOCOL.sshsig of OpenSSH), with SHA-512 and the namespace "git".
func (s *Signer) Sign(payload []byte) ([]byte, error) {
	sig, err := sshsig.Sign(bytes.NewReader(payload), s.key, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
	}
	return bytes.TrimSpace(sshsig.Armor(sig)), nil
}

// VerifyCommit returns which of the listed keys signed c. The error has [ErrUnsigned] where there is no SSH signature, and
// [ErrUnknownSigner] where it is by another key or does not match the commit.
func VerifyCommit(c Commit, keys []spec.Key) (spec.Key, error) {
	if len(c.Signature) == 0 {
		return spec.Key{}, fmt.Errorf("commit %s: %w: sign it with `git commit -S` and gpg.format=ssh", c.ID, ErrUnsigned)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(c.Signature), []byte("-----BEGIN "+sshsig.PEMType+"-----")) {
		return spec.Key{}, fmt.Errorf("commit %s: %w, but with something else: set gpg.format=ssh", c.ID, ErrUnsigned)
	}
	sig, err := sshsig.Unarmor(c.Signature)
	if err != nil {
		return spec.Key{}, fmt.Errorf("commit %s: %w: the signature cannot be read: %w", c.ID, ErrUnknownSigner, err)
	}
	signer := ssh.FingerprintSHA256(sig.PublicKey)
	for _, k := range keys {
		if !k.Same(sig.PublicKey) {
			continue
		}
		if err := sshsig.Verify(bytes.NewReader(c.Payload), sig, k.SSH, sig.HashAlgorithm, namespace); err != nil {
			return spec.Key{}, fmt.Errorf("commit %s: %w: the signature by %s (%s) does not match: %w", c.ID, ErrUnknownSigner, k.Name, signer, err)
		}
		return k, nil
	}
	return spec.Key{}, fmt.Errorf("commit %s: %w: it is signed by %s, which is none of the %d listed", c.ID, ErrUnknownSigner, signer, len(keys))
}
