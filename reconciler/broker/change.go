package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of a proposed change.
const (
	maxEdits      = 50
	maxEditBytes  = 1 << 20 // of all files together
	maxTitle      = 200     // characters
	maxChangeBody = 64 << 10
)

// The defaults that refuse a path, as they appear in an answer's rule.
const (
	ruleProtected = "default: protected paths are denied"
	ruleOutside   = "default: paths outside of the agent's proposals.paths are denied"
)

// proposedEdit is one file of a proposed change, as the agent writes it.
type proposedEdit struct {
	Path    string  `json:"path"`
	Content *string `json:"content"`
	Remove  bool    `json:"remove"`
}

// proposeChange serves repo__propose_change. Nothing is written here: the reply is the proposal.
func (b *Broker) proposeChange(c toolCall) (Reply, error) {
	var args struct {
		Title string         `json:"title"`
		Body  string         `json:"body"`
		Files []proposedEdit `json:"files"`
	}
	if err := c.decode(&args); err != nil {
		return Reply{}, err
	}
	title := oneLine(b.opts.Redactor.Text(args.Title), maxTitle)
	if title == "" {
		return Reply{}, refuse("the title is empty: say in one sentence what the change does")
	}
	if len(args.Body) > maxChangeBody {
		return Reply{}, refuse("the body is %d bytes long, at most %d are allowed", len(args.Body), maxChangeBody)
	}
	if err := b.checkEdits(c, args.Files); err != nil {
		return Reply{}, err
	}
	edits, err := b.realEdits(c, args.Files)
	if err != nil {
		return Reply{}, err
	}
	paths := make([]string, len(edits))
	for i, e := range edits {
		paths[i] = e.Path
	}
	policies, err := b.opts.Policies()
	if err != nil {
		return Reply{}, &Unavailable{What: "policies", Err: err}
	}
	decided := policy.DecideChange(policy.Change{Agent: string(c.Agent.Name), Paths: paths}, policies)
	if decided.Decision == spec.DecisionDeny {
		return Reply{}, denied("change of "+strings.Join(paths, ", "), decided)
	}
	key, err := proposalKey(c.Agent.Name, spec.ProposalChange, paths)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Rule: decided.Rule, Proposal: &spec.Proposal{
		Key: key, Kind: spec.ProposalChange, Agent: c.Agent.Name, Run: c.Task.Run, Exchange: c.N, Base: c.Task.Revision,
		Title: title, Body: changeBody(c, b.opts.Redactor.Text(args.Body)), Files: edits, At: c.At,
	}}, nil
}

func changeBody(c toolCall, body string) string {
	var text strings.Builder
	if body = strings.TrimSpace(body); body != "" {
		text.WriteString(body + "\n\n")
	}
	fmt.Fprintf(&text, "---\nProposed by agent %s in run %s, request %d, on %s.\n", c.Agent.Name, c.Task.Run, c.N, c.Task.Revision)
	return text.String()
}

// checkEdits refuses what the agent may not propose, without looking at the repository.
func (b *Broker) checkEdits(c toolCall, edits []proposedEdit) error {
	if len(edits) == 0 || len(edits) > maxEdits {
		return refuse("the change has %d files: propose 1 to %d", len(edits), maxEdits)
	}
	total, seen, folders := 0, map[string]bool{}, map[string]string{}
	for _, e := range edits {
		// Protected paths come first: who proposes to change a policy is to be told so, however the path is written.
		if b.protected(e.Path) {
			return &refusal{rule: ruleProtected, message: fmt.Sprintf(
				"path %.200q is protected: what decides about approval and execution is changed by people only (%s)", e.Path, ruleProtected)}
		}
		if err := checkPath(e.Path); err != nil {
			return err
		}
		if !matchesAny(c.Agent.ProposePaths, e.Path) {
			return &refusal{rule: ruleOutside, message: fmt.Sprintf(
				"path %q may not be changed by agent %q: its spec lets it propose %s (%s)", e.Path, c.Agent.Name, strings.Join(c.Agent.ProposePaths, ", "), ruleOutside)}
		}
		if seen[e.Path] {
			return refuse("path %q is there twice", e.Path)
		}
		for folder := path.Dir(e.Path); folder != "."; folder = path.Dir(folder) {
			folders[folder] = e.Path
		}
		seen[e.Path] = true
		if e.Remove == (e.Content != nil) {
			return refuse("path %q needs either content or remove: true", e.Path)
		}
		if e.Content == nil {
			continue
		}
		if total += len(*e.Content); total > maxEditBytes {
			return refuse("the files are more than %d bytes together: propose less at a time", maxEditBytes)
		}
		if b.opts.Redactor.Holds(*e.Content) {
			return refuse("the content of %q holds a secret: name where it is to be found instead", e.Path)
		}
	}
	for _, e := range edits {
		if beneath, ok := folders[e.Path]; ok {
			return refuse("path %q is a file, and %q lies beneath it: propose one of them", e.Path, beneath)
		}
	}
	return nil
}

// protected reports whether a path is protected, seen from the repository's root or from the folder of mainstay.yaml.
func (b *Broker) protected(name string) bool {
	if spec.Protected(name) {
		return true
	}
	within, ok := strings.CutPrefix(strings.ToLower(name), strings.ToLower(b.opts.Root)+"/")
	return b.opts.Root != "" && ok && spec.Protected(within)
}

// realEdits returns the edits that change something, sorted by path.
func (b *Broker) realEdits(c toolCall, proposed []proposedEdit) ([]spec.FileEdit, error) {
	files, err := b.files(c.Task.Revision)
	if err != nil {
		return nil, err
	}
	var edits []spec.FileEdit
	for _, e := range proposed {
		had, err := readRegular(files, e.Path, c.Task.Revision)
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case err != nil && !missing:
			return nil, err
		case e.Remove && missing:
			return nil, refuse("path %q cannot be removed: there is no such file at %s", e.Path, c.Task.Revision.Short())
		case e.Remove:
			edits = append(edits, spec.FileEdit{Path: e.Path, Remove: true})
		case !utf8.ValidString(*e.Content) || strings.ContainsRune(*e.Content, 0):
			return nil, refuse("the content of %q is not text", e.Path)
		case strings.Contains(*e.Content, Redacted) && !strings.Contains(string(had), Redacted):
			return nil, refuse("the content of %q holds %s, which would overwrite what was hidden from you: leave this file to people", e.Path, Redacted)
		case missing || string(had) != *e.Content:
			edits = append(edits, spec.FileEdit{Path: e.Path, Content: *e.Content})
		}
	}
	if len(edits) == 0 {
		return nil, refuse("the change changes nothing: every file has this content at %s already", c.Task.Revision.Short())
	}
	slices.SortFunc(edits, func(a, b spec.FileEdit) int { return strings.Compare(a.Path, b.Path) })
	return edits, nil
}
