package proposal

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/spec"
)

// The limits of the text of a proposal, in bytes. What is longer is cut, with a mark.
const (
	MaxTitle = 240
	MaxBody  = 64 << 10
)

// The trailers of a proposal's commit, in the order in which they are written.
const (
	TrailerKey      = "Mainstay-Proposal"
	TrailerKind     = "Mainstay-Kind"
	TrailerAgent    = "Mainstay-Agent"
	TrailerRun      = "Mainstay-Run"
	TrailerExchange = "Mainstay-Exchange"
	TrailerBase     = "Mainstay-Base"
	TrailerAction   = "Mainstay-Action"
)

// Clean returns p with a title and a body that are safe to show in a terminal and in a commit: the title on one line,
// no control characters, and no characters that reorder text. Agents write both.
func Clean(p spec.Proposal) spec.Proposal {
	p.Title = cut(strings.Join(strings.Fields(spec.Visible(p.Title)), " "), MaxTitle)
	if p.Title == "" {
		p.Title = "A proposal by " + string(p.Agent)
	}
	p.Body = strings.TrimSpace(cut(spec.Visible(p.Body), MaxBody))
	return p
}

// Message returns the commit message of a proposal: title, body, trailers. [Parse] is the way back.
func Message(p spec.Proposal) string {
	p = Clean(p)
	text := p.Title + "\n\n"
	if p.Body != "" {
		text += p.Body + "\n\n"
	}
	return text + Trailers(p)
}

// Trailers returns the last paragraph of a proposal's message (git-interpret-trailers(1)).
func Trailers(p spec.Proposal) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", TrailerKey, p.Key)
	fmt.Fprintf(&b, "%s: %s\n", TrailerKind, p.Kind)
	fmt.Fprintf(&b, "%s: %s\n", TrailerAgent, p.Agent)
	fmt.Fprintf(&b, "%s: %s\n", TrailerRun, p.Run)
	fmt.Fprintf(&b, "%s: %d\n", TrailerExchange, p.Exchange)
	fmt.Fprintf(&b, "%s: %s\n", TrailerBase, p.Base)
	if p.Kind == spec.ProposalAction {
		fmt.Fprintf(&b, "%s: %s\n", TrailerAction, p.Action)
	}
	return b.String()
}

// ErrNotProposal means that a commit's message is not one that [Message] wrote.
var ErrNotProposal = errors.New("the commit does not carry a proposal")

var (
	keyRE    = regexp.MustCompile(`^[0-9a-f]{16}$`)
	runRE    = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{26}$`)
	branchRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*@sha1:[0-9a-f]{40}$`)
)

// Parse reads a proposal back out of its commit message, all but the files and the time. Only the last paragraph is
// read for trailers, so that nothing in an agent's body passes for one. The error has [ErrNotProposal].
func Parse(message string) (spec.Proposal, error) {
	var p spec.Proposal
	text := strings.TrimRight(message, "\n")
	cutAt := strings.LastIndex(text, "\n\n")
	if cutAt < 0 {
		return p, fmt.Errorf("%w: it has no trailers", ErrNotProposal)
	}
	title, body, _ := strings.Cut(text[:cutAt], "\n")
	p.Title, p.Body = title, strings.TrimSpace(body)
	values := map[string]string{}
	for line := range strings.SplitSeq(text[cutAt+2:], "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return p, fmt.Errorf("%w: its last paragraph holds more than trailers", ErrNotProposal)
		}
		if _, twice := values[name]; twice {
			return p, fmt.Errorf("%w: it has the trailer %s twice", ErrNotProposal, name)
		}
		values[name] = value
	}
	p.Key, p.Kind = spec.ProposalKey(values[TrailerKey]), values[TrailerKind]
	p.Agent, p.Run = spec.AgentName(values[TrailerAgent]), spec.RunID(values[TrailerRun])
	p.Base, p.Action = spec.Revision(values[TrailerBase]), spec.ActionID(values[TrailerAction])
	p.Exchange, _ = strconv.Atoi(values[TrailerExchange]) // A malformed number is 0, which checkOrigin refuses.
	if strconv.Itoa(p.Exchange) != values[TrailerExchange] {
		return p, fmt.Errorf("%w: %s is %q", ErrNotProposal, TrailerExchange, values[TrailerExchange])
	}
	if err := checkOrigin(p); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNotProposal, err)
	}
	return p, nil
}

// checkOrigin reports what is wrong with what the trailers say.
func checkOrigin(p spec.Proposal) error {
	if !keyRE.MatchString(string(p.Key)) {
		return fmt.Errorf("the key %q is not 16 hexadecimal characters", p.Key)
	}
	if err := spec.CheckName(string(p.Agent)); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if !runRE.MatchString(string(p.Run)) {
		return fmt.Errorf("the run %q is not a ULID in lower case", p.Run)
	}
	if p.Exchange < 1 {
		return fmt.Errorf("the exchange %d is not positive", p.Exchange)
	}
	if !branchRE.MatchString(string(p.Base)) {
		return fmt.Errorf("the base %q is not a revision", p.Base)
	}
	if p.Agent == spec.RollbackAgent && p.Kind != spec.ProposalRollback {
		return fmt.Errorf("no agent is called %s, so that the kind %q is none of its", p.Agent, p.Kind)
	}
	switch p.Kind {
	case spec.ProposalChange:
		if p.Action != "" {
			return fmt.Errorf("a file change names the action %q", p.Action)
		}
	case spec.ProposalRollback:
		if p.Agent != spec.RollbackAgent || p.Action != "" {
			return fmt.Errorf("a rollback is of the agent %q", p.Agent)
		}
	case spec.ProposalAction:
		if want := fmt.Sprintf("%s-%s-%d", p.Agent, p.Run, p.Exchange); string(p.Action) != want {
			return fmt.Errorf("the action %q is not %q", p.Action, want)
		}
	default:
		return fmt.Errorf("the kind %q is none of change, rollback and action", p.Kind)
	}
	return nil
}

// Same reports whether both are about the same request of the same run.
func Same(a, b spec.Proposal) bool {
	return a.Key == b.Key && a.Run == b.Run && a.Exchange == b.Exchange
}

// cut shortens s to limit bytes, between two characters, and marks it.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len("…")
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
