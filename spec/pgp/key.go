package pgp

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// minRSABits is the shortest RSA key that may sign.
const minRSABits = 2048

// Key is an OpenPGP key: a primary key, and the parts of it that may sign.
type Key struct {
	entity *openpgp.Entity
	raw    []byte
	parts  []part
}

// part is the primary key or a subkey, and when its signatures count.
type part struct {
	public *packet.PublicKey
	from   time.Time
	until  time.Time // zero: it does not expire
	// retired is when it was revoked because it was replaced or retired; zero: never.
	retired time.Time
}

// ParseKey reads one armored public key. It refuses one that can sign nothing, or that is revoked with no reason or because
// it was lost: its signatures of any time could be forged. A key that was replaced or retired still counts for what it
// signed before. Expiry is looked at where a signature is checked.
func ParseKey(armored string) (*Key, error) {
	raw, err := dearmor(armored, publicBlock)
	if err != nil {
		return nil, err
	}
	return parseKey(raw)
}

func parseKey(raw []byte) (_ *Key, err error) {
	defer guard(&err)
	e, err := readEntity(raw)
	if err != nil {
		return nil, err
	}
	k := &Key{entity: e, raw: raw}
	self, err := selfSignature(e)
	if err != nil {
		return nil, err
	}
	primary, err := newPart(e.PrimaryKey, self, e.Revocations)
	if err != nil {
		return nil, err
	}
	if self.FlagsValid && self.FlagSign {
		k.parts = append(k.parts, primary)
	}
	for _, sub := range e.Subkeys {
		if sub.Sig == nil || !sub.Sig.FlagsValid || !sub.Sig.FlagSign || sub.Sig.EmbeddedSignature == nil || weakHash(sub.Sig.EmbeddedSignature.Hash) {
			continue
		}
		p, err := newPart(sub.PublicKey, sub.Sig, sub.Revocations)
		if err != nil {
			continue // What it has signed counts as signed by nobody. The others may still sign.
		}
		p.until, p.retired = earlier(p.until, primary.until), earlier(p.retired, primary.retired)
		k.parts = append(k.parts, p)
	}
	if len(k.parts) == 0 {
		return nil, errors.New("neither it nor a subkey of it may sign: export one that has the usage S in `gpg --list-keys`")
	}
	return k, nil
}

// readEntity reads exactly one key.
func readEntity(raw []byte) (*openpgp.Entity, error) {
	r := bytes.NewReader(raw)
	packets := packet.NewReader(r)
	e, err := openpgp.ReadEntity(packets)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if _, err := packets.Next(); err == nil || r.Len() > 0 {
		return nil, errors.New("it is more than one key: list each by itself")
	}
	return e, nil
}

// selfSignature is what says until when the primary key counts, and for what.
func selfSignature(e *openpgp.Entity) (*packet.Signature, error) {
	for name, id := range e.Identities {
		if id.SelfSignature == nil {
			delete(e.Identities, name) // It was only ever revoked.
		}
	}
	self, identity := e.PrimarySelfSignature()
	switch {
	case self == nil:
		return nil, errors.New("nothing in it says whose it is")
	case identity != nil && len(identity.Revocations) > 0:
		return nil, errors.New("all names in it are revoked")
	}
	return self, nil
}

func newPart(public *packet.PublicKey, binding *packet.Signature, revocations []*packet.Signature) (part, error) {
	if err := strong(public); err != nil {
		return part{}, err
	}
	if weakHash(binding.Hash) {
		return part{}, errors.New("it is bound together with SHA-1 or MD5: renew it, with `gpg --quick-set-expire` and a new export")
	}
	p := part{public: public, from: public.CreationTime}
	if seconds := binding.KeyLifetimeSecs; seconds != nil && *seconds > 0 {
		p.until = public.CreationTime.Add(time.Duration(*seconds) * time.Second)
	}
	for _, r := range revocations {
		if r.RevocationReason == nil || *r.RevocationReason != packet.KeySuperseded && *r.RevocationReason != packet.KeyRetired {
			return part{}, errors.New("it is revoked: remove it, and list the new one")
		}
		p.retired = earlier(p.retired, r.CreationTime)
	}
	return p, nil
}

// strong refuses algorithms that can be forged, and versions of keys whose fingerprint can be.
func strong(k *packet.PublicKey) error {
	if k.Version != 4 && k.Version != 6 {
		return fmt.Errorf("it is of version %d: use one of version 4 or 6, as GnuPG makes them", k.Version)
	}
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := k.BitLength(); err != nil || bits < minRSABits {
			return fmt.Errorf("it is an RSA key of %d bits: use ed25519, or RSA with at least %d bits", bits, minRSABits)
		}
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA:
		if curve, err := k.Curve(); err != nil || curve == packet.CurveSecP256k1 {
			return errors.New("it is on a curve that is not taken: use ed25519")
		}
	case packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
	default:
		return errors.New("it is a DSA key, or one of an algorithm that is not taken: use ed25519, ECDSA or RSA")
	}
	return nil
}

func weakHash(h crypto.Hash) bool {
	return !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}, h)
}

// earlier returns the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Fingerprint returns the whole fingerprint of the primary key: 40 or 64 upper-case hexadecimal characters, as
// `gpg --fingerprint` prints it without its blanks.
func (k *Key) Fingerprint() string { return fmt.Sprintf("%X", k.entity.PrimaryKey.Fingerprint) }

// Bytes returns the key as it was read, with its subkeys, expiry and revocations. The caller must not change it.
func (k *Key) Bytes() []byte { return k.raw }
