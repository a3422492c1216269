package reconciler

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// DryRun is what would become of an Action if it were executed now.
type DryRun struct {
	Action    spec.ActionID   `json:"action"`
	Summary   string          `json:"summary"`
	Server    string          `json:"server"`
	Tool      string          `json:"tool"`
	Arguments map[string]any  `json:"arguments,omitempty"`
	Executes  bool            `json:"executes"`
	Checks    []execute.Check `json:"checks"`
}

// DryRun checks an Action of the newest revision, or one in a file of this content, and calls nothing that writes. Suspended
// is what another reconciler has been told to hold.
func (r *Reconciler) DryRun(ctx context.Context, id spec.ActionID, file []byte, suspended []Suspension) (DryRun, error) {
	d := DryRun{Action: id}
	if err := r.observe(ctx); err != nil {
		return d, err
	}
	r.mu.Lock()
	w := execute.Work{Revision: r.applied, Fleet: r.fleet, Trusted: r.trusted}
	seen, untrusted := r.seen, r.untrusted
	r.suspended = suspended
	r.mu.Unlock()
	if w.Fleet == nil || w.Revision != seen {
		return d, fmt.Errorf("%s is broken; `mainstay validate` shows its problems", seen.Short())
	}
	if w.Fleet.Ledger == nil {
		return d, execute.ErrNoLedger
	}
	if untrusted != nil {
		return d, untrusted
	}
	merged := true
	if file != nil {
		var err error
		if merged, err = r.withFile(ctx, &w, id, file); err != nil {
			return d, err
		}
	}
	if w.Action = w.Fleet.Actions[id]; w.Action == nil {
		return d, fmt.Errorf("no action %s at %s; there are: %s", spec.Visible(string(id)), w.Revision.Short(), actionNames(w.Fleet))
	}
	a := w.Action.Spec
	d.Summary, d.Server, d.Tool, d.Arguments = a.Summary, a.Server, a.Tool, a.Arguments
	var err error
	if d.Checks, err = r.executor.DryRun(ctx, w); err != nil {
		return d, err
	}
	if i := slices.IndexFunc(d.Checks, func(c execute.Check) bool { return c.Name == execute.CheckApproval }); i >= 0 && !merged {
		d.Checks[i].Verdict = execute.VerdictWaits
		d.Checks[i].Message = fmt.Sprintf("%s does not hold this file; a signed merge of its proposal approves it", r.opts.Branch)
	}
	d.Checks = append(d.Checks, r.checkSchema(ctx, w.Fleet.Servers[a.Server], a.Tool)...)
	d.Executes = execute.Executes(d.Checks)
	return d, nil
}

// checkSchema asks the tool server whether it has the tool as it is pinned.
func (r *Reconciler) checkSchema(ctx context.Context, server *spec.ToolServer, name string) []execute.Check {
	if server == nil {
		return nil
	}
	schemas, err := r.parts.Tools.Schemas(ctx, server)
	err = r.broker.Redactor().Error(err)
	c := execute.Check{Name: "schema", Verdict: execute.VerdictOK, Message: "the server has the tool, and no lock pins it"}
	switch _, ok := schemas[name]; {
	case err != nil:
		c.Verdict, c.Message = execute.VerdictWaits, err.Error()
	case !ok:
		c.Verdict, c.Message = execute.VerdictWaits, fmt.Sprintf("the server has no tool %q", name)
	case server.LockFile != "":
		c.Message = "the server has the tool as " + server.LockFile + " pins it"
	}
	return []execute.Check{c}
}

// withFile declares what the newest revision does, and an Action in a file beside it. Nothing is pushed. It reports whether
// the branch holds that very file already.
func (r *Reconciler) withFile(ctx context.Context, w *execute.Work, id spec.ActionID, content []byte) (merged bool, err error) {
	if there := w.Fleet.Actions[id]; there != nil && there.Digest == spec.DigestBytes(content) {
		return true, nil
	}
	tip, file := w.Revision.Commit(), path.Join(r.opts.Path, "actions", string(id)+".yaml")
	commit, err := r.parts.Remote.WriteCommit(remote.CommitDraft{Base: tip, Parents: []string{tip}, Edits: []spec.FileEdit{{Path: file, Content: string(content)}},
		Message: "Try " + string(id), AuthorName: r.opts.Name, AuthorEmail: r.opts.Email, When: r.opts.Now().UTC()})
	if err != nil {
		return false, err
	}
	w.Revision = spec.NewRevision(r.opts.Branch, commit)
	if w.Fleet, err = r.fleetAt(ctx, w.Revision); err != nil {
		return false, fmt.Errorf("the file cannot be an action of the newest revision: %w", err)
	}
	return false, nil
}

func actionNames(f *spec.Fleet) string {
	var names []string
	for id := range f.Actions {
		names = append(names, string(id))
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
