package pgp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// The types of armored blocks.
const (
	publicBlock    = "PGP PUBLIC KEY BLOCK"
	privateBlock   = "PGP PRIVATE KEY BLOCK"
	signatureBlock = "PGP SIGNATURE"
)

// maxArmored bounds what is read, in bytes.
const maxArmored = 128 << 10

// IsKey reports whether text is meant to be an armored OpenPGP key, public or private.
func IsKey(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "-----BEGIN "+publicBlock) || strings.HasPrefix(text, "-----BEGIN "+privateBlock)
}

// IsSignature reports whether text is meant to be an armored OpenPGP signature.
func IsSignature(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PGP "))
}

// dearmor returns what one armored block holds. Unlike most readers it takes nothing before the block, after it, or
// between the checksum and its end. The checksum says nothing about who wrote it, and is not looked at.
func dearmor(text, block string) ([]byte, error) {
	if len(text) > maxArmored {
		return nil, fmt.Errorf("it is longer than %d bytes", maxArmored)
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	if lines[0] != "-----BEGIN "+block+"-----" {
		return nil, fmt.Errorf("it does not begin with -----BEGIN %s-----", block)
	}
	if last := lines[len(lines)-1]; len(lines) < 2 || last != "-----END "+block+"-----" {
		return nil, fmt.Errorf("it does not end with -----END %s-----", block)
	}
	lines = lines[1 : len(lines)-1]
	for len(lines) > 0 && strings.Contains(lines[0], ": ") {
		lines = lines[1:] // Such as Version and Comment.
	}
	if len(lines) == 0 || lines[0] != "" {
		return nil, errors.New("it lacks the empty line before its content")
	}
	lines = lines[1:]
	if n := len(lines); n > 0 && len(lines[n-1]) == 5 && lines[n-1][0] == '=' {
		lines = lines[:n-1]
	}
	content, err := base64.StdEncoding.Strict().DecodeString(strings.Join(lines, ""))
	if err != nil || len(content) == 0 {
		return nil, errors.New("its content is not base64")
	}
	return content, nil
}

// enarmor writes one armored block, without a line end after it.
func enarmor(content []byte, block string) ([]byte, error) {
	var b bytes.Buffer
	w, err := armor.Encode(&b, block, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// guard turns a panic of the OpenPGP library, which has met one on hostile bytes before, into an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it cannot be read: %v", p)
	}
}
