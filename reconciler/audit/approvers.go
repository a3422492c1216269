package audit

import (
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxApprovers bounds the text of the approvers, in bytes.
const maxApprovers = 1 << 20

// ParseApprovers reads public keys: SSH keys, one a line in the authorized_keys format of sshd(8), `ssh-ed25519 AAAA... name`,
// and OpenPGP keys as `gpg --armor --export` prints them. Empty lines and lines that begin with # are skipped. The errors begin
// with the number of the line where the key begins.
func ParseApprovers(text string) ([]spec.Key, error) {
	if len(text) > maxApprovers {
		return nil, fmt.Errorf("1: %d bytes, and the limit is %d", len(text), maxApprovers)
	}
	var keys []spec.Key
	n, begin := 0, 0
	armored := ""
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case armored == "" && (line == "" || strings.HasPrefix(line, "#")):
			continue
		case armored == "" && !strings.HasPrefix(line, "-----BEGIN PGP "):
			begin = n
		default:
			if armored == "" {
				begin = n
			}
			if armored += line + "\n"; !strings.HasPrefix(line, "-----END PGP ") {
				continue
			}
			line, armored = armored, ""
		}
		key, err := spec.ParseKey(fmt.Sprintf("line %d", begin), line)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", begin, err)
		}
		if key.SSH == nil {
			keys = append(keys, key)
			continue
		}
		if fields := strings.Fields(line); len(fields) > 2 {
			key.Name = strings.Join(fields[2:], " ")
		}
		keys = append(keys, key)
	}
	if armored != "" {
		return nil, fmt.Errorf("%d: the OpenPGP key does not end", begin)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%d: no key: write one a line, such as `ssh-ed25519 AAAA... name`", max(n, 1))
	}
	return keys, nil
}
