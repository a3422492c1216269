package audit

import (
	"fmt"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// maxApprovers bounds the keys of a file.
const maxApprovers = 10_000

// ParseApprovers reads public keys, one a line in the authorized_keys format of sshd(8): `ssh-ed25519 AAAA... name`. Empty
// lines and lines that begin with # are skipped. The errors begin with the number of the line.
func ParseApprovers(text string) ([]spec.Key, error) {
	var keys []spec.Key
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := spec.ParseKey(fmt.Sprintf("line %d", n), line)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		if fields := strings.Fields(line); len(fields) > 2 {
			key.Name = strings.Join(fields[2:], " ")
		}
		if keys = append(keys, key); len(keys) > maxApprovers {
			return nil, fmt.Errorf("%d: more than %d keys", n, maxApprovers)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%d: no key: write one a line, such as `ssh-ed25519 AAAA... name`", max(n, 1))
	}
	return keys, nil
}
