// Package sopstest writes files as SOPS does, for tests.
package sopstest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"go.yaml.in/yaml/v3"
)

// modified is when every file was encrypted.
const modified = "2026-01-31T12:00:00Z"

// Encrypt returns a YAML file with the values at dotted names of up to two parts, each of them encrypted.
func Encrypt(values map[string]string, recipient age.Recipient) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, 32)
	if err != nil {
		return nil, err
	}
	seal := func(text, belongs string) string {
		nonce := make([]byte, 32)
		rand.Read(nonce) // It never fails.
		out := gcm.Seal(nil, nonce, []byte(text), []byte(belongs))
		encode := base64.StdEncoding.EncodeToString
		return fmt.Sprintf("ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:str]", encode(out[:len(out)-16]), encode(nonce), encode(out[len(out)-16:]))
	}

	// Sorted names are in the order of the file.
	hash := sha512.New()
	tree := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		hash.Write([]byte(values[name]))
		first, second, nested := strings.Cut(name, ".")
		if !nested {
			tree[first] = seal(values[name], first+":")
			continue
		}
		inside, _ := tree[first].(map[string]any)
		if inside == nil {
			inside = map[string]any{}
			tree[first] = inside
		}
		inside[second] = seal(values[name], first+":"+second+":")
	}
	mac := seal(fmt.Sprintf("%X", hash.Sum(nil)), modified)

	var wrapped bytes.Buffer
	text := armor.NewWriter(&wrapped)
	w, err := age.Encrypt(text, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(key); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := text.Close(); err != nil {
		return nil, err
	}
	body, err := yaml.Marshal(tree)
	if err != nil {
		return nil, err
	}
	metadata, err := yaml.Marshal(map[string]any{"sops": map[string]any{
		"age":          []any{map[string]any{"recipient": fmt.Sprint(recipient), "enc": wrapped.String()}},
		"lastmodified": modified, "mac": mac, "version": "3.13.3",
	}})
	return append(body, metadata...), err
}
