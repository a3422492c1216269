package sops

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Opened is a decrypted file. It holds secrets.
type Opened struct {
	file   *File
	values []string
}

// macOnlyEncrypted begins the MAC of a file whose MAC is over its encrypted values alone: the SHA-256 of `sops`.
const macOnlyEncrypted = "8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69"

// sealedValue is how SOPS writes an encrypted value.
var sealedValue = regexp.MustCompile(`^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$`)

var errChanged = wrong("take the last good version, and change it with sops edit alone", "it was changed by hand after it was encrypted, or is damaged")

// Open decrypts the file with its key, of 32 bytes, which is what age decrypts [Recipient.Encrypted] to. The error is an
// [*Error].
func (f *File) Open(key []byte) (*Opened, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != 32 {
		return nil, errChanged
	}
	hash := sha512.New()
	if f.metadata.MACOnlyEncrypted {
		start, _ := hex.DecodeString(macOnlyEncrypted)
		hash.Write(start)
	}
	o := &Opened{file: f, values: make([]string, len(f.leaves))}
	for i, l := range f.leaves {
		text, sealed := l.sealed()
		if !sealed {
			if !f.metadata.MACOnlyEncrypted {
				hash.Write(asBytes(l.value))
			}
			continue
		}
		value, kind, err := unseal(block, text, strings.Join(l.names, ":")+":")
		if err != nil {
			return nil, errChanged
		}
		if kind == "comment" {
			continue
		}
		hash.Write([]byte(value))
		if kind == "bool" {
			value = strings.ToLower(value) // SOPS writes True and False, as Python does.
		}
		if !isKind(value, kind) {
			return nil, errChanged
		}
		o.values[i] = value
	}
	modified, err := time.Parse(time.RFC3339, f.metadata.LastModified)
	if err != nil {
		return nil, errChanged
	}
	mac, _, err := unseal(block, f.metadata.MAC, modified.Format(time.RFC3339))
	if err != nil || subtle.ConstantTimeCompare([]byte(mac), fmt.Appendf(nil, "%X", hash.Sum(nil))) != 1 {
		return nil, errChanged
	}
	return o, nil
}

// Value returns the encrypted value with this dotted name.
func (o *Opened) Value(key string) (string, error) {
	i, err := o.file.find(key)
	if err != nil {
		return "", err
	}
	return o.values[i], nil
}

// String hides what was decrypted.
func (o *Opened) String() string { return "an opened SOPS file" }

// GoString hides what was decrypted.
func (o *Opened) GoString() string { return o.String() }

// unseal decrypts one value, which is bound to what it belongs to.
func unseal(block cipher.Block, text, belongs string) (value, kind string, err error) {
	parts := sealedValue.FindStringSubmatch(text)
	if parts == nil {
		return "", "", errors.New("this is not an encrypted value")
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.StdEncoding.DecodeString(parts[i+1]); err != nil {
			return "", "", err
		}
	}
	if len(raw[1]) == 0 || len(raw[1]) > 64 || len(raw[2]) != aes.BlockSize {
		return "", "", errors.New("this is not an encrypted value")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(raw[1]))
	if err != nil {
		return "", "", err
	}
	plain, err := gcm.Open(nil, raw[1], append(raw[0], raw[2]...), []byte(belongs))
	return string(plain), parts[4], err
}

// isKind reports whether a value may be of the kind that is written beside it, where neither the tag nor the MAC covers it.
func isKind(value, kind string) bool {
	var err error
	switch kind {
	case "str", "bytes":
	case "bool":
		return value == "true" || value == "false"
	case "int":
		_, err = strconv.ParseInt(value, 10, 64)
	case "float":
		_, err = strconv.ParseFloat(value, 64)
	case "time":
		_, err = time.Parse(time.RFC3339, value)
	default:
		return false
	}
	return err == nil
}

// asBytes is what the MAC is over, of a value in the clear.
func asBytes(value any) []byte {
	switch v := value.(type) {
	case string:
		return []byte(v)
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64)
	case bool:
		if v {
			return []byte("True")
		}
		return []byte("False")
	case time.Time:
		text, err := v.MarshalText()
		if err == nil {
			return text
		}
	}
	return nil
}
