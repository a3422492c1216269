// Package pgptest makes OpenPGP keys for tests, without GnuPG.
package pgptest

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Born is when the keys are made, so that a test may sign at any time after it.
var Born = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Config is how GnuPG makes a key by default, at a time.
func Config(at time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, DefaultHash: crypto.SHA512, Time: func() time.Time { return at }}
}

// New makes the key of a person who signs with its primary key.
func New(t testing.TB, name string) *openpgp.Entity {
	t.Helper()
	return With(t, name, Config(Born))
}

// With makes a key as a configuration says.
func With(t testing.TB, name string, c *packet.Config) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.com", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Public is the armored public key.
func Public(t testing.TB, e *openpgp.Entity) string {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return Armor(t, b.Bytes(), openpgp.PublicKeyType)
}

// Private is the armored private key. With a passphrase it is encrypted.
func Private(t testing.TB, e *openpgp.Entity, passphrase string) string {
	t.Helper()
	if passphrase != "" {
		if err := e.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		t.Fatal(err)
	}
	return Armor(t, b.Bytes(), openpgp.PrivateKeyType)
}

// Armor writes one armored block.
func Armor(t testing.TB, content []byte, block string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, block, nil)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
