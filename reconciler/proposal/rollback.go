package proposal

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/mainstay-dev/mainstay/spec"
)

// RollbackKey is the key of the proposal that brings back what a commit declares. So whoever reads the branch of one finds out which
// commit it is to bring back, whatever its title says.
func RollbackKey(commit string) spec.ProposalKey {
	sum := sha256.Sum256([]byte("rollback\x00" + commit))
	return spec.ProposalKey(hex.EncodeToString(sum[:8]))
}
