// Package approver decides who may approve an Action. [Check] is a function of its arguments: whoever knows of an approval,
// by a signed merge or by a forge's review, asks it about the person.
//
// A person may approve if all of this holds, and each refusal says which does not:
//
//  1. The person is one of those that mainstay.yaml lists under spec.approvers, and no reconciler.
//  2. The person has not proposed the Action, and is not called like the agent that asked for it.
//  3. Where the CODEOWNERS file of the branch names owners for what the Action touches, the person is one of them, by a name
//     under codeOwner. What it touches are the paths that its tool declares, or else the Action's own file; of several paths
//     that have owners the person owns each.
//  4. Each policy rule with approvers that holds for the call names the person.
package approver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hmarr/codeowners"

	"github.com/mainstay-dev/mainstay/reconciler/policy"
	"github.com/mainstay-dev/mainstay/spec"
)

// Question is who may approve what.
type Question struct {
	// Action is what is approved, and File where its file lies in the repository.
	Action spec.ActionSpec
	File   string
	// By is the person's key with the name and the code owners' names that mainstay.yaml gives it.
	By spec.Key
	// Proposer is the key that the proposal is signed with; none where it is not known.
	Proposer spec.Key
	// Approvers and Reconcilers are those that mainstay.yaml lists.
	Approvers, Reconcilers []spec.Key
	// Server declares the tool. Nil is one that declares nothing.
	Server *spec.ToolServer
	// Policies are those of one revision: the newest, or the one before the merge. Whoever executes asks about both.
	Policies []*spec.Policy
	// Tree is the repository before the merge, which holds the CODEOWNERS file.
	Tree fs.FS
}

// maxOwners is the largest CODEOWNERS file that is read, in bytes. It is GitHub's limit.
const maxOwners = 3 << 20

// ownersFiles are where CODEOWNERS may lie, as GitHub looks for it.
var ownersFiles = []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}

// Check returns why the person may not approve, or "".
func Check(q Question) string {
	same := func(k spec.Key) bool { return k.Same(q.By) }
	switch {
	case slices.ContainsFunc(q.Reconcilers, same):
		return fmt.Sprintf("the key of %s is a reconciler's: what it proposes, a person decides", q.By.Name)
	case !slices.ContainsFunc(q.Approvers, same):
		return fmt.Sprintf("%s is none of spec.approvers in mainstay.yaml", q.By.Name)
	case same(q.Proposer):
		return fmt.Sprintf("%s has proposed it, and nobody approves what they propose", q.By.Name)
	case strings.EqualFold(strings.TrimSpace(q.By.Name), string(q.Action.Evidence.Agent)):
		return fmt.Sprintf("the approver is called %s, like the agent that asks for it: no agent approves what it asks for; give the person another name in mainstay.yaml", q.By.Name)
	}
	if why := owned(q); why != "" {
		return why
	}
	return named(q)
}

// owned checks the person against CODEOWNERS.
func owned(q Question) string {
	name, content, err := ownersFile(q.Tree)
	if err != nil {
		return fmt.Sprintf("who owns it is not known: %v", err)
	}
	if name == "" {
		return ""
	}
	rules, err := codeowners.ParseFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Sprintf("who owns it is not known: %s: %v", name, err)
	}
	for _, r := range rules {
		if r.RawPattern() == "/" { // On which the library panics, and by which some mean all and some nothing.
			return fmt.Sprintf("who owns it is not known: %s line %d: the pattern / can be meant in two ways: write * for every file, or remove the line", name, r.LineNumber)
		}
	}
	paths, err := touched(q)
	if err != nil {
		return fmt.Sprintf("who owns it is not known: %v", err)
	}
	for _, p := range paths {
		rule, err := rules.Match(p)
		if err != nil {
			return fmt.Sprintf("who owns it is not known: %s: %v", name, err)
		}
		if rule == nil || len(rule.Owners) == 0 {
			continue
		}
		var owners []string
		mine := false
		for _, o := range rule.Owners {
			owners = append(owners, o.String())
			mine = mine || slices.ContainsFunc(q.By.CodeOwner, func(mine string) bool { return strings.EqualFold(mine, o.String()) })
		}
		if !mine {
			return fmt.Sprintf("%s line %d gives %s to %s, and %s is none of them: let one of them approve it; who is a code owner stands under spec.approvers in mainstay.yaml, in codeOwner",
				name, rule.LineNumber, p, strings.Join(owners, " and "), q.By.Name)
		}
	}
	return ""
}

// ownersFile reads the CODEOWNERS file that counts. The name is "" where there is none.
func ownersFile(tree fs.FS) (name string, content []byte, err error) {
	if tree == nil {
		return "", nil, nil
	}
	for _, name := range ownersFiles {
		info, err := fs.Stat(tree, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", nil, err
		case !info.Mode().IsRegular():
			return "", nil, fmt.Errorf("%s is no file", name)
		case info.Size() > maxOwners:
			return "", nil, fmt.Errorf("%s has more than %d MiB", name, maxOwners>>20)
		}
		content, err := fs.ReadFile(tree, name)
		return name, content, err
	}
	return "", nil, nil
}

// touched are the paths whose owners approve the Action.
func touched(q Question) ([]string, error) {
	var declared []string
	if q.Server != nil {
		declared = q.Server.Spec.Tools[q.Action.Tool].Touches
	}
	if len(declared) == 0 {
		return []string{q.File}, nil
	}
	arguments := q.Action.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	var paths []string
	for _, template := range declared {
		rendered, err := spec.RenderValue(template, map[string]any{"arguments": arguments})
		if err != nil {
			return nil, fmt.Errorf("touches of %s in %s: %w", q.Action.Tool, q.Server.Place.File, err)
		}
		text := fmt.Sprint(rendered)
		if !fs.ValidPath(text) || text == "." || path.Clean(text) != text {
			return nil, fmt.Errorf("touches of %s in %s: %q is not the path of a file in the repository", q.Action.Tool, q.Server.Place.File, spec.Visible(text))
		}
		paths = append(paths, text)
	}
	return paths, nil
}

// named checks the person against the policies.
func named(q Question) string {
	call := policy.Call{Agent: string(q.Action.Evidence.Agent), Server: q.Action.Server, Tool: q.Action.Tool,
		Effect: spec.EffectWrite, Arguments: q.Action.Arguments, Sources: q.Action.Evidence.Sources}
	for _, rule := range policy.ApproversOf(call, q.Policies) {
		if slices.Contains(rule.Names, q.By.Name) {
			continue
		}
		who := "nobody"
		if len(rule.Names) > 0 {
			who = strings.Join(rule.Names, " or ")
		}
		why := fmt.Sprintf("%s lets %s approve it, and not %s", rule.Rule, who, q.By.Name)
		if rule.Reason != "" {
			why += ": " + rule.Reason
		}
		return why
	}
	return ""
}
