package remote

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/pgp"
)

// namespace is what git signs commits under, so that no other signature of the same key passes for one.
const namespace = "git"

// Signer signs commits with an SSH key, as git does with gpg.format=ssh, or with an OpenPGP key, as git does by default.
type Signer struct {
	ssh ssh.Signer
	pgp *pgp.Signer
}

// ErrPassphrase means that a private key is encrypted, and that no passphrase was given or a wrong one.
var ErrPassphrase = errors.New("it has a passphrase")

// LoadSigner reads a private key without a passphrase, like [UnlockSigner].
func LoadSigner(path string) (*Signer, error) { return UnlockSigner(path, nil) }

// UnlockSigner reads a private key: an OpenSSH one (ed25519, ECDSA or RSA), or an armored OpenPGP one, as `gpg --armor
// --export-secret-keys` writes it. It is encrypted with passphrase; nil is none. The error has [ErrPassphrase] where that is
// not so.
func UnlockSigner(path string, passphrase []byte) (*Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	s := &Signer{}
	if pgp.IsKey(string(b)) {
		s.pgp, err = pgp.ParseSigner(string(b), passphrase)
		if errors.Is(err, pgp.ErrPassphrase) {
			return nil, lockedKey(path, passphrase)
		}
		if err != nil {
			return nil, fmt.Errorf("the signing key %s cannot be used: %w", path, err)
		}
		return s, nil
	}
	s.ssh, err = ssh.ParsePrivateKey(b)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		if len(passphrase) == 0 {
			return nil, lockedKey(path, passphrase)
		}
		if s.ssh, err = ssh.ParsePrivateKeyWithPassphrase(b, passphrase); errors.Is(err, x509.IncorrectPasswordError) {
			return nil, lockedKey(path, passphrase)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the signing key %s is neither an OpenSSH nor an armored OpenPGP private key: use one that ssh-keygen made, or what `gpg --armor --export-secret-keys` prints", path)
	}
	if _, err := spec.ParseKey(path, s.AuthorizedKey()); err != nil {
		return nil, err
	}
	return s, nil
}

func lockedKey(path string, passphrase []byte) error {
	if len(passphrase) > 0 {
		return fmt.Errorf("the signing key %s: %w, and not the one that was given", path, ErrPassphrase)
	}
	return fmt.Errorf("the signing key %s: %w", path, ErrPassphrase)
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
	s := &Signer{ssh: key}
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

// Public returns the public half, under the name of its owner.
func (s *Signer) Public(name string) spec.Key {
	if s.pgp != nil {
		return spec.Key{Name: name, PGP: s.pgp.Public()}
	}
	return spec.Key{Name: name, SSH: s.ssh.PublicKey()}
}

// AuthorizedKey returns the public half as mainstay.yaml lists it, without a line end after it: an SSH key as a line in the
// authorized_keys format without a comment, an OpenPGP key as an armored block.
func (s *Signer) AuthorizedKey() string {
	if s.pgp != nil {
		return s.pgp.Armored()
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.ssh.PublicKey())))
}

// Fingerprint returns the key's fingerprint, as [spec.Key.Fingerprint] does.
func (s *Signer) Fingerprint() string { return s.Public("").Fingerprint() }

// Sign returns the armored signature of payload: with an SSH key by PROTOCOL.sshsig of OpenSSH, with SHA-512 and the
// namespace "git"; with an OpenPGP key a detached one (RFC 9580) with SHA-512, made at a time, which an SSH signature does not
// hold.
func (s *Signer) Sign(payload []byte, at time.Time) ([]byte, error) {
	if s.pgp != nil {
		sig, err := s.pgp.Sign(payload, at)
		if err != nil {
			return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
		}
		return sig, nil
	}
	sig, err := sshsig.Sign(bytes.NewReader(payload), s.ssh, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.Fingerprint(), err)
	}
	return bytes.TrimSpace(sshsig.Armor(sig)), nil
}
