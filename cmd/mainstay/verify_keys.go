package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxKeyFile bounds a file of public keys, in bytes.
const maxKeyFile = 1 << 20

// verifyKeys reads the keys whose commits may run while mainstay.yaml demands nothing: lines in the authorized_keys format,
// of which the comment is the name, and armored OpenPGP keys. Empty lines and those that begin with # are passed over.
func verifyKeys(file string) (*spec.SignatureDemand, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--verify-keys: %w", err)
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("--verify-keys: %s is longer than %d bytes: name a file of public keys", file, maxKeyFile)
	}
	demand := &spec.SignatureDemand{Mode: spec.SignHead, Place: "--verify-keys"}
	add := func(line int, name, text string) error {
		key, err := spec.ParseKey(name, text)
		if err != nil {
			return fmt.Errorf("--verify-keys: %s:%d: %w", file, line, err)
		}
		demand.Signers = append(demand.Signers, key)
		return nil
	}
	var block strings.Builder
	begins := 0
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		text := strings.TrimSpace(line)
		switch {
		case begins > 0 || strings.HasPrefix(text, "-----BEGIN PGP "):
			if begins == 0 {
				begins = n
			}
			block.WriteString(line)
			if strings.HasPrefix(text, "-----END PGP ") {
				if err := add(begins, fmt.Sprintf("line %d", begins), block.String()); err != nil {
					return nil, err
				}
				block.Reset()
				begins = 0
			}
		case text == "" || strings.HasPrefix(text, "#"):
		default:
			name := fmt.Sprintf("line %d", n)
			if fields := strings.Fields(text); len(fields) > 2 {
				name = strings.Join(fields[2:], " ")
			}
			if err := add(n, name, text); err != nil {
				return nil, err
			}
		}
	}
	if begins > 0 {
		return nil, fmt.Errorf("--verify-keys: %s:%d: the OpenPGP key has no end", file, begins)
	}
	if len(demand.Signers) == 0 {
		return nil, fmt.Errorf("--verify-keys: %s holds no key, so that nothing could ever run: list those of the people who sign commits", file)
	}
	return demand, nil
}
