package pgp

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ErrPassphrase means that a private key is encrypted, and that no passphrase was given or a wrong one.
var ErrPassphrase = errors.New("it has a passphrase")

// Signer signs with a private key.
type Signer struct {
	key     *Key
	private *packet.PrivateKey
	from    time.Time
}

// ParseSigner reads one armored private key, as `gpg --armor --export-secret-keys` writes it. The error has
// [ErrPassphrase] if the passphrase is not the one it is encrypted with; nil is none.
func ParseSigner(armored string, passphrase []byte) (_ *Signer, err error) {
	defer guard(&err)
	raw, err := dearmor(armored, privateBlock)
	if err != nil {
		return nil, err
	}
	e, err := readEntity(raw)
	if err != nil {
		return nil, err
	}
	public, err := publicOf(raw)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(public)
	if err != nil {
		return nil, err
	}
	privates := []*packet.PrivateKey{e.PrivateKey}
	for _, sub := range e.Subkeys {
		privates = append(privates, sub.PrivateKey)
	}
	// As GnuPG does, the newest part that is here signs: usually a subkey.
	s := &Signer{key: key}
	for _, p := range key.parts {
		for _, private := range privates {
			usable := private != nil && !private.Dummy() && bytes.Equal(private.Fingerprint, p.public.Fingerprint)
			if usable && p.retired.IsZero() && !p.from.Before(s.from) {
				s.private, s.from = private, p.from
			}
		}
	}
	if s.private == nil {
		return nil, errors.New("it holds no private part that may sign: export it with `gpg --armor --export-secret-keys`")
	}
	if s.private.Encrypted {
		if passphrase == nil {
			return nil, ErrPassphrase
		}
		if err := s.private.Decrypt(passphrase); err != nil {
			return nil, fmt.Errorf("%w, and not the one that was given", ErrPassphrase)
		}
	}
	return s, nil
}

// Public returns the public half.
func (s *Signer) Public() *Key { return s.key }

// Armored returns the public half as an armored block, without a line end after it.
func (s *Signer) Armored() string {
	b, err := enarmor(s.key.raw, publicBlock)
	if err != nil {
		return "" // It is written to memory, which does not fail.
	}
	return string(b)
}

// Sign returns the armored signature of message, made at a time, or when the key was made if that is later.
func (s *Signer) Sign(message []byte, at time.Time) ([]byte, error) {
	if at.Before(s.from) {
		at = s.from
	}
	random := false // The same commit is always the same bytes.
	config := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return at }, NonDeterministicSignaturesViaNotation: &random}
	sig := &packet.Signature{
		Version: s.private.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: s.private.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: at, IssuerKeyId: &s.private.KeyId, IssuerFingerprint: s.private.Fingerprint,
	}
	h, err := sig.PrepareSign(config)
	if err != nil {
		return nil, err
	}
	if _, err := h.Write(message); err != nil {
		return nil, err
	}
	if err := sig.Sign(h, s.private, config); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if err := sig.Serialize(&raw); err != nil {
		return nil, err
	}
	return enarmor(raw.Bytes(), signatureBlock)
}

// publicOf returns the packets of a private key with the public ones in the place of the private ones.
func publicOf(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	packets := packet.NewOpaqueReader(bytes.NewReader(raw))
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		parsed, err := p.Parse()
		if private, ok := parsed.(*packet.PrivateKey); ok && err == nil {
			err = private.PublicKey.Serialize(&out)
		} else {
			err = p.Serialize(&out)
		}
		if err != nil {
			return nil, err
		}
	}
}
