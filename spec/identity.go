package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// APIVersion is the only version of the spec language that this build reads.
const APIVersion = "mainstay.dev/v1alpha1"

// AgentName names an Agent resource. It follows the rules of [CheckName].
type AgentName string

// RunID is a ULID (https://github.com/ulid/spec) in lower case, 26 characters.
type RunID string

// ThreadID names a conversation of a person with one agent. It follows the rules of [CheckName].
type ThreadID string

// ActionID is `<agent>-<run>-<n>`, the metadata.name of an Action. It is never reused.
type ActionID string

// Lane names one concurrent branch inside a run. The first one is [MainLane].
type Lane string

// MainLane is the lane every run starts with.
const MainLane Lane = "main"

// ProposalKey identifies what a proposal is about: the agent and the target, never the content, so that better
// content updates the same pull request. It is 16 lower-case hexadecimal characters.
type ProposalKey string

// Revision is one commit of the watched branch, written `main@sha1:<40 hexadecimal characters>`.
type Revision string

// NewRevision writes a revision of a branch.
func NewRevision(branch, commit string) Revision {
	return Revision(branch + "@sha1:" + commit)
}

// Commit returns the commit id of the revision, or "" if the revision is malformed.
func (r Revision) Commit() string {
	_, id, _ := strings.Cut(string(r), "@sha1:")
	return id
}

// Short returns the revision with its commit id cut to seven characters, for people.
func (r Revision) Short() string {
	branch, id, ok := strings.Cut(string(r), "@sha1:")
	if !ok || len(id) < 7 {
		return string(r)
	}
	return branch + "@" + id[:7]
}

// Digest is `sha256:` and 64 hexadecimal characters. Digests of resources are over canonical content: formatting,
// comments and key order never change them. The digest of an Action is over the bytes of its file.
type Digest string

// DigestBytes returns the digest of b as it stands.
func DigestBytes(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Short returns the first twelve hexadecimal characters, for people.
func (d Digest) Short() string {
	s := strings.TrimPrefix(string(d), "sha256:")
	if len(s) > 12 {
		s = s[:12]
	}
	return s
}

// Valid says whether d is a digest in its written form: sha256: and 64 lower-case hexadecimal digits.
func (d Digest) Valid() bool { return Patterns["digest"].matches(string(d)) }

var nameRE = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// MaxName is the longest name of a resource other than an Action, in bytes. An Action's name holds an agent's name, a
// run and a number, and may be 128 bytes long.
const MaxName = 63

// CheckName reports why name cannot name a resource, or nil. Names are RFC 1123 labels.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%q is longer than %d characters", name, MaxName)
	}
	if !nameRE.MatchString(name) {
		return fmt.Errorf("%q is not a name: use lower-case letters, digits and hyphens, and begin and end with a letter or digit", name)
	}
	return nil
}

// Ref names one resource of a revision.
type Ref struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// String returns the form that people type: `Agent/triage`.
func (r Ref) String() string { return string(r.Kind) + "/" + r.Name }
