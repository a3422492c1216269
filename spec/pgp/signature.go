package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Signature is a detached signature.
type Signature struct{ packet *packet.Signature }

// ParseSignature reads one armored signature over bytes, as `gpg --detach-sign --armor` makes it.
func ParseSignature(armored []byte) (_ *Signature, err error) {
	defer guard(&err)
	raw, err := dearmor(string(armored), signatureBlock)
	if err != nil {
		return nil, err
	}
	r := bytes.NewReader(raw)
	p, err := packet.Read(r)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	s, ok := p.(*packet.Signature)
	switch {
	case !ok:
		return nil, errors.New("it holds something else")
	case r.Len() > 0:
		return nil, errors.New("it holds more than one signature")
	case s.Version != 4 && s.Version != 6:
		return nil, fmt.Errorf("it is of version %d: use GnuPG 2 or newer", s.Version)
	case s.SigType != packet.SigTypeBinary:
		return nil, errors.New("it is over something else than a file")
	case weakHash(s.Hash):
		return nil, errors.New("it is made with SHA-1 or another weak hash: set `digest-algo SHA512` in gpg.conf, or remove what is set there")
	case s.IssuerKeyId == nil:
		return nil, errors.New("it does not say which key has made it")
	case s.SigLifetimeSecs != nil && *s.SigLifetimeSecs > 0:
		return nil, errors.New("it expires: what runs must not change with the time; remove default-sig-expire from gpg.conf")
	}
	for _, n := range s.Notations {
		if n.IsCritical {
			return nil, fmt.Errorf("it demands that the notation %q be understood", n.Name)
		}
	}
	return &Signature{s}, nil
}

// Issuer is which key the signature says has made it: a fingerprint, or where it has only that, a key id of 16 characters.
// Nothing has been checked yet.
func (s *Signature) Issuer() string {
	if len(s.packet.IssuerFingerprint) > 0 {
		return fmt.Sprintf("%X", s.packet.IssuerFingerprint)
	}
	return fmt.Sprintf("%016X", *s.packet.IssuerKeyId)
}

// part returns the part of a key that the signature says has made it, or nil. The key id only chooses which one is tried.
func (s *Signature) part(k *Key) *part {
	for i := range k.parts {
		p := &k.parts[i]
		if p.public.KeyId != *s.packet.IssuerKeyId {
			continue
		}
		if f := s.packet.IssuerFingerprint; len(f) == 0 || bytes.Equal(f, p.public.Fingerprint) {
			return p
		}
	}
	return nil
}

// By reports whether the signature says that it is by a part of k that may sign. Nothing has been checked yet.
func (s *Signature) By(k *Key) bool { return s.part(k) != nil }

// Verify checks that k has made the signature over message, at a time when it could.
func (s *Signature) Verify(k *Key, message []byte) (err error) {
	defer guard(&err)
	p := s.part(k)
	if p == nil {
		return fmt.Errorf("it is by %s, which is not %s", s.Issuer(), k.Fingerprint())
	}
	h, err := s.packet.PrepareVerify()
	if err != nil {
		return err
	}
	if _, err := h.Write(message); err != nil {
		return err
	}
	if err := p.public.VerifySignature(h, s.packet); err != nil {
		return err
	}
	at := s.packet.CreationTime
	switch {
	case at.Before(p.from):
		return fmt.Errorf("it says that it was made on %s, before the key was", day(at))
	case !p.until.IsZero() && !at.Before(p.until):
		return fmt.Errorf("the key had expired on %s: extend it with `gpg --quick-set-expire`, and list the new export", day(p.until))
	case !p.retired.IsZero() && !at.Before(p.retired):
		return fmt.Errorf("the key was revoked on %s: list the new one", day(p.retired))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
