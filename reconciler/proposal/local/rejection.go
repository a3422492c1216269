package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// stepRejection is the name of a rejection's file in the ledger: proposals/<key>/rejection.json, and rejection-2.json and
// so on for later ones of the same key.
const stepRejection = "rejection"

// MaxReason bounds the reason of a rejection, in bytes.
const MaxReason = 4 << 10

// rejection is a person's no, as the ledger keeps it.
type rejection struct {
	Step     string           `json:"step"`
	Proposal spec.ProposalKey `json:"proposal"`
	Kind     string           `json:"kind"`
	Agent    spec.AgentName   `json:"agent"`
	Run      spec.RunID       `json:"run"`
	Exchange int              `json:"exchange"`
	Base     spec.Revision    `json:"base"`
	// Head is the commit that was rejected.
	Head string `json:"head"`
	// Paths are those of a file change. The no binds until one of them changes in the base.
	Paths []string `json:"paths,omitempty"`
	// Call is the digest of an Action's server, tool and arguments. The no binds this very call.
	Call   spec.Digest `json:"call,omitempty"`
	Reason string      `json:"reason,omitempty"`
	By     string      `json:"by"`
	// Key is the fingerprint of the person's key.
	Key   string    `json:"key"`
	Nonce string    `json:"nonce"`
	At    time.Time `json:"at"`
}

// Reject writes a person's no into the ledger and deletes the branch. The person's key must be among the approvers.
func (d *Driver) Reject(ctx context.Context, key spec.ProposalKey, reason string, by Reviewer) error {
	if err := d.reject(ctx, key, reason, by); err != nil {
		return fmt.Errorf("reject proposal %s: %w", key, err)
	}
	return nil
}

func (d *Driver) reject(ctx context.Context, key spec.ProposalKey, reason string, by Reviewer) error {
	if len(reason) > MaxReason {
		return fmt.Errorf("the reason has %d bytes, and the limit is %d", len(reason), MaxReason)
	}
	v, err := d.look(ctx)
	if err != nil {
		return err
	}
	if v.fleet.Ledger == nil {
		return errors.New("mainstay.yaml pins no ledger that could remember it: run `mainstay ledger init`, or delete the branch, which remembers nothing")
	}
	h, err := d.find(ctx, v, key)
	if err != nil {
		return err
	}
	if h.State == proposal.Merged {
		return fmt.Errorf("%s is merged already: revert the merge instead", h.Branch())
	}
	if _, err := reviewer(v.fleet, by); err != nil {
		return err
	}
	r := rejection{
		Step: stepRejection, Proposal: h.Key, Kind: h.Kind, Agent: h.Agent, Run: h.Run, Exchange: h.Exchange,
		Base: h.Base, Head: h.Head, Reason: strings.TrimSpace(reason), By: by.Name, Key: by.Signer.Fingerprint(),
		Nonce: nonce(), At: d.opts.Now().UTC(),
	}
	for _, f := range h.Files {
		r.Paths = append(r.Paths, f.Path)
	}
	if h.Kind == spec.ProposalAction {
		if r.Call, err = callDigest(h.Proposal); err != nil {
			return err
		}
	}
	if err := d.keep(ctx, v, r, by); err != nil {
		return err
	}
	if err := d.opts.Remote.Delete(ctx, h.Branch(), h.Head); err != nil {
		return fmt.Errorf("the rejection is recorded, but branch %s is still there: delete it: %w", h.Branch(), err)
	}
	return nil
}

// keep appends a rejection, unless the ledger has one of the same proposal already.
func (d *Driver) keep(ctx context.Context, v view, r rejection, by Reviewer) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var taken error
	for range maxMoved {
		all, err := d.rejections(ctx, v, r.Proposal)
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.Run == r.Run && other.Exchange == r.Exchange {
				return nil
			}
		}
		name := stepRejection + ".json"
		if n := len(all) + 1; n > 1 {
			name = fmt.Sprintf("%s-%d.json", stepRejection, n)
		}
		message := fmt.Sprintf("Reject %s of %s\n\n%s", r.Proposal, r.Agent, r.Reason)
		err = d.opts.Ledger.Append(ctx, path.Join("proposals", string(r.Proposal), name), append(content, '\n'), message,
			by.Name, by.Email, by.Signer)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		taken = err
	}
	return taken
}

// rejections returns the rejections of a key, the oldest first.
func (d *Driver) rejections(ctx context.Context, v view, key spec.ProposalKey) ([]rejection, error) {
	all, err := d.allRejections(ctx, v)
	return all[key], err
}

// allRejections returns every rejection by its key, the oldest first.
func (d *Driver) allRejections(ctx context.Context, v view) (map[spec.ProposalKey][]rejection, error) {
	if v.fleet.Ledger == nil {
		return nil, nil // Nothing is remembered where no ledger is pinned.
	}
	files, err := d.opts.Ledger.Entries(ctx, "proposals")
	if err != nil {
		return nil, err
	}
	all := map[spec.ProposalKey][]rejection{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var r rejection
		if err := json.Unmarshal(files[name], &r); err != nil {
			return nil, fmt.Errorf("ledger entry %s: %w", name, err)
		}
		if r.Step == stepRejection && strings.HasPrefix(name, path.Join("proposals", string(r.Proposal))+"/") {
			all[r.Proposal] = append(all[r.Proposal], r)
		}
	}
	for _, list := range all {
		slices.SortStableFunc(list, func(a, b rejection) int { return a.At.Compare(b.At) })
	}
	return all, nil
}

// checkRejected returns a [*proposal.RejectedError] where a person's no binds p.
func (d *Driver) checkRejected(ctx context.Context, v view, p spec.Proposal) error {
	all, err := d.rejections(ctx, v, p.Key)
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(all) {
		binds, err := d.binds(r, p)
		if err != nil {
			return err
		}
		if binds {
			return &proposal.RejectedError{By: r.By, Reason: r.Reason}
		}
	}
	return nil
}

func (d *Driver) binds(r rejection, p spec.Proposal) (bool, error) {
	if r.Run == p.Run && r.Exchange == p.Exchange {
		return true, nil
	}
	if p.Kind == spec.ProposalAction {
		call, err := callDigest(p)
		return r.Call == call, err
	}
	before, err := d.opts.Remote.Snapshot(r.Base.Commit())
	if errors.Is(err, remote.ErrMissing) {
		return false, nil // The history was rewritten: what was rejected is no more.
	}
	if err != nil {
		return false, err
	}
	now, err := d.opts.Remote.Snapshot(p.Base.Commit())
	if err != nil {
		return false, err
	}
	for _, name := range r.Paths {
		if objectAt(before, name) != objectAt(now, name) {
			return false, nil
		}
	}
	return true, nil
}

// objectAt returns the id of the object at a path, or "".
func objectAt(s *remote.Snapshot, name string) string {
	info, err := s.Lstat(name)
	if err != nil {
		return ""
	}
	id, _ := info.Sys().(string)
	return id
}

// action is what is read of an Action's file here.
type action struct {
	Spec spec.ActionSpec `json:"spec"`
}

func readAction(p spec.Proposal) (spec.ActionSpec, error) {
	if len(p.Files) != 1 {
		return spec.ActionSpec{}, fmt.Errorf("an Action is one file: %s changes %d", p.Branch(), len(p.Files))
	}
	var a action
	if err := yaml.Unmarshal([]byte(p.Files[0].Content), &a); err != nil {
		return spec.ActionSpec{}, fmt.Errorf("%s is not an Action: %w", p.Files[0].Path, err)
	}
	return a.Spec, nil
}

// callDigest returns the digest of what an Action would do, whatever it says about itself.
func callDigest(p spec.Proposal) (spec.Digest, error) {
	a, err := readAction(p)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal([]any{a.Server, a.Tool, a.Arguments})
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.Files[0].Path, err)
	}
	return spec.DigestBytes(b), nil
}

func nonce() string {
	b := make([]byte, 16)
	rand.Read(b) // It never fails (crypto/rand).
	return hex.EncodeToString(b)
}
