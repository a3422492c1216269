package pgp

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/mainstay-dev/mainstay/spec/pgp/pgptest"
)

var message = []byte("tree x\n\nhello\n")

// signed is a signature over message at a time, as another program makes it.
func signed(t *testing.T, e *openpgp.Entity, c *packet.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.DetachSign(&b, e, bytes.NewReader(message), c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func armored(t *testing.T, sig []byte) []byte {
	return []byte(pgptest.Armor(t, sig, openpgp.SignatureType))
}

func day2(n int) time.Time { return pgptest.Born.AddDate(0, 0, n) }

func wantSays(t *testing.T, err error, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want an error with %q", err, text)
	}
}

func TestSignAndVerify(t *testing.T) {
	for name, c := range map[string]*packet.Config{
		"ed25519":    pgptest.Config(pgptest.Born),
		"RSA":        {Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, Time: func() time.Time { return pgptest.Born }},
		"ECDSA":      {Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256, Time: func() time.Time { return pgptest.Born }},
		"version 6":  {Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true, Time: func() time.Time { return pgptest.Born }},
		"passphrase": pgptest.Config(pgptest.Born),
	} {
		t.Run(name, func(t *testing.T) {
			e := pgptest.With(t, "ada", c)
			passphrase := ""
			if name == "passphrase" {
				passphrase = "correct horse"
			}
			private := pgptest.Private(t, e, passphrase)
			if passphrase != "" {
				for _, wrong := range [][]byte{nil, []byte("battery")} {
					if _, err := ParseSigner(private, wrong); !errors.Is(err, ErrPassphrase) {
						t.Fatalf("got %v, want ErrPassphrase", err)
					}
				}
			}
			s, err := ParseSigner(private, []byte(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			sig, err := s.Sign(message, day2(3))
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParseKey(s.Armored())
			if err != nil {
				t.Fatal(err)
			}
			if want := s.Public().Fingerprint(); k.Fingerprint() != want || len(want) < 40 || strings.ToUpper(want) != want {
				t.Fatalf("the fingerprints are %s and %s", k.Fingerprint(), want)
			}
			parsed, err := ParseSignature(sig)
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(k, message); err != nil || !parsed.By(k) {
				t.Fatal(err)
			}
			if parsed.Verify(k, append(message, '\n')) == nil {
				t.Fatal("another message is believed")
			}
			other, err := ParseKey(pgptest.Public(t, pgptest.New(t, "bob")))
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Verify(other, message) == nil || parsed.By(other) {
				t.Fatal("another key is believed")
			}
			if config := (&packet.Config{Time: func() time.Time { return day2(4) }}); true {
				raw, _ := dearmor(string(sig), signatureBlock)
				if _, err := openpgp.CheckDetachedSignature(openpgp.EntityList{e}, bytes.NewReader(message), bytes.NewReader(raw), config); err != nil {
					t.Fatalf("another program says %v", err)
				}
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good := pgptest.Public(t, pgptest.New(t, "ada"))
	t.Setenv("GODEBUG", "rsa1024min=0")
	raw, err := dearmor(good, publicBlock)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*openpgp.Entity)) string {
		e := pgptest.New(t, "ada")
		change(e)
		return pgptest.Public(t, e)
	}
	revoke := func(reason packet.ReasonForRevocation) string {
		return with(func(e *openpgp.Entity) {
			if err := e.RevokeKey(reason, "", pgptest.Config(day2(5))); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a good key", good, ""},
		{"a good key with line ends of Windows", strings.ReplaceAll(good, "\n", "\r\n"), ""},
		{"one that was replaced", revoke(packet.KeySuperseded), ""},
		{"one that was lost", revoke(packet.KeyCompromised), "revoked"},
		{"one that was revoked without a reason", revoke(packet.NoReason), "revoked"},
		{"text before it", "hello\n" + good, "does not begin with"},
		{"text after it", good + "\nhello", "does not end with"},
		{"two blocks", good + "\n" + good, "not base64"},
		{"a private key", pgptest.Private(t, pgptest.New(t, "ada"), ""), "does not begin with"},
		{"two keys in a block", pgptest.Armor(t, append(bytes.Clone(raw), raw...), publicBlock), "more than one key"},
		{"rubbish after the key", pgptest.Armor(t, append(bytes.Clone(raw), 0), publicBlock), "cannot be read"},
		{"a short RSA key", pgptest.Public(t, pgptest.With(t, "ada", &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 1024})), "1024 bits"},
		{"one that only certifies", with(func(e *openpgp.Entity) {
			for _, id := range e.Identities {
				id.SelfSignature.FlagSign = false
				if err := id.SelfSignature.SignUserId(id.Name, e.PrimaryKey, e.PrivateKey, pgptest.Config(pgptest.Born)); err != nil {
					t.Fatal(err)
				}
			}
		}), "may sign"},
		{"one without a name", with(func(e *openpgp.Entity) { e.Identities = nil }), "cannot be read"},
		{"nothing", "", "does not begin with"},
		{"one that is too long", "-----BEGIN " + publicBlock + "-----\n\n" + strings.Repeat("A", maxArmored), "longer than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseKey(tt.text)
			wantSays(t, err, tt.want)
		})
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	e := pgptest.New(t, "ada")
	good := signed(t, e, pgptest.Config(day2(1)))
	seconds := func(c *packet.Config) *packet.Config { c.SigLifetimeSecs = 60; return c }
	var text bytes.Buffer
	if err := openpgp.DetachSignText(&text, e, bytes.NewReader(message), pgptest.Config(day2(1))); err != nil {
		t.Fatal(err)
	}
	sha1 := bytes.Clone(good)
	sha1[bytes.IndexByte(sha1, 4)+3] = 2 // What follows the version 4: type, algorithm, and hash, of which 2 is SHA-1.
	critical := pgptest.Config(day2(1))
	critical.SignatureNotations = []*packet.Notation{{Name: "a@example.com", Value: []byte("b"), IsCritical: true, IsHumanReadable: true}}
	key, err := dearmor(pgptest.Public(t, e), publicBlock)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		sig  []byte
		want string
	}{
		{"a good one", armored(t, good), ""},
		{"two signatures", armored(t, append(bytes.Clone(good), good...)), "more than one"},
		{"two blocks", append(armored(t, good), armored(t, good)...), "not base64"},
		{"text before it", append([]byte("x\n"), armored(t, good)...), "does not begin"},
		{"text after its checksum", bytes.Replace(armored(t, good), []byte("-----END"), []byte("AAAA\n-----END"), 1), "not base64"},
		{"a key", armored(t, key), "something else"},
		{"SHA-1", armored(t, sha1), "SHA-1"},
		{"a signature over text", armored(t, text.Bytes()), "something else than a file"},
		{"one that expires", armored(t, signed(t, e, seconds(pgptest.Config(day2(1))))), "expires"},
		{"a critical notation", armored(t, signed(t, e, critical)), "notation"},
		{"one that was cut off", armored(t, good[:len(good)/2]), "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseSignature(tt.sig)
			wantSays(t, err, tt.want)
		})
	}
}

// Keys expire, are extended, replaced and revoked; what they have signed counts by the time that it was signed at.
func TestVerifyLooksAtTheTimeOfTheSignature(t *testing.T) {
	at := func(n int) *packet.Config { return pgptest.Config(day2(n)) }
	brief := pgptest.Config(pgptest.Born)
	brief.KeyLifetimeSecs = 10 * 24 * 3600
	expiring := pgptest.With(t, "ada", brief)
	extended := pgptest.With(t, "ada", brief)
	replaced := pgptest.New(t, "ada")
	withSubkey := pgptest.New(t, "ada")
	if err := withSubkey.AddSigningSubkey(at(1)); err != nil {
		t.Fatal(err)
	}
	type signature struct {
		n    int
		by   *openpgp.Entity
		want string
	}
	signatures := map[string]signature{
		"within its life":            {9, expiring, ""},
		"after it has expired":       {11, expiring, "had expired on 2020-01-11"},
		"before it was extended":     {9, extended, ""},
		"once it was extended":       {15, extended, ""},
		"before it was replaced":     {4, replaced, ""},
		"after it was replaced":      {6, replaced, "was revoked on 2020-01-06"},
		"by its subkey":              {3, withSubkey, ""},
		"before the key was made":    {-1, replaced, "before the key was"},
		"by a subkey that was lost":  {3, nil, "which is not"},
		"by a subkey of a lost twin": {3, nil, "which is not"},
	}
	made := map[string][]byte{}
	for name, s := range signatures {
		if s.by == nil {
			made[name] = armored(t, signed(t, withSubkey, at(s.n)))
			continue
		}
		// DetachSign would refuse to sign when it is too late, so the signature is made by hand.
		private := s.by.PrivateKey
		if s.by == withSubkey {
			private = s.by.Subkeys[len(s.by.Subkeys)-1].PrivateKey
		}
		sig := &packet.Signature{Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: private.PubKeyAlgo, Hash: crypto.SHA512,
			CreationTime: day2(s.n), IssuerKeyId: &private.KeyId, IssuerFingerprint: private.Fingerprint}
		h := crypto.SHA512.New()
		h.Write(message)
		if err := sig.Sign(h, private, nil); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := sig.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		made[name] = armored(t, b.Bytes())
	}
	life := uint32(100 * 24 * 3600)
	for _, id := range extended.Identities {
		id.SelfSignature.KeyLifetimeSecs, id.SelfSignature.CreationTime = &life, day2(12)
		if err := id.SelfSignature.SignUserId(id.Name, extended.PrimaryKey, extended.PrivateKey, at(12)); err != nil {
			t.Fatal(err)
		}
	}
	if err := replaced.RevokeKey(packet.KeySuperseded, "", at(5)); err != nil {
		t.Fatal(err)
	}
	whole := pgptest.Public(t, withSubkey)
	if err := withSubkey.RevokeSubkey(&withSubkey.Subkeys[len(withSubkey.Subkeys)-1], packet.KeyCompromised, "", at(8)); err != nil {
		t.Fatal(err)
	}
	for name, s := range signatures {
		t.Run(name, func(t *testing.T) {
			text := pgptest.Public(t, withSubkey)
			if s.by == withSubkey {
				text = whole
			} else if s.by != nil {
				text = pgptest.Public(t, s.by)
			}
			k, err := ParseKey(text)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := ParseSignature(made[name])
			if err != nil {
				t.Fatal(err)
			}
			wantSays(t, sig.Verify(k, message), s.want)
		})
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(pgptest.Public(f, pgptest.New(f, "ada")))
	f.Add(pgptest.Private(f, pgptest.New(f, "ada"), ""))
	f.Add("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err == nil && len(k.Fingerprint()) < 40 {
			t.Fatalf("the fingerprint is %q", k.Fingerprint())
		}
		if _, err := ParseSigner(text, []byte("x")); err != nil {
			return
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	e := pgptest.New(f, "ada")
	k, err := ParseKey(pgptest.Public(f, e))
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, e, bytes.NewReader(message), pgptest.Config(pgptest.Born)); err != nil {
		f.Fatal(err)
	}
	good := b.Bytes()
	f.Add(good)
	f.Fuzz(func(t *testing.T, sig []byte) {
		s, err := ParseSignature(sig)
		if err != nil {
			return
		}
		_ = s.Issuer()
		if s.Verify(k, []byte("something else")) == nil {
			t.Fatal("a signature over something else is believed")
		}
	})
}
