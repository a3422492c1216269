// Package broker answers what agents ask for: a model, a tool, a skill, the repository's files, another agent, a proposal, the
// time, random bytes. All that an agent can reach it reaches through [Broker.Answer]. What it may have is decided from the spec
// and by package policy, never from what a model said, and secrets are taken out of every answer before anyone sees it.
//
// The broker keeps nothing between two requests but what package gateway knows of models, and summaries of what they have read. It never
// writes to the repository and never calls a write tool: for those it returns a proposal, also where a rule lets the call through
// without a review. Nor does it start runs: for another agent it returns what that agent is to do.
package broker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/gateway"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxBody is the largest body of an answer, in bytes. It leaves room for the envelope within plugins.MaxMessage.
const maxBody = plugins.MaxMessage - 64<<10

// Options are what [New] needs. All fields are required, but for Models, Chat, Spent, Lock, Described, Begun, Describe,
// Suspended, Knowledge and Root.
type Options struct {
	Models model.Providers
	// Chat asks a model once. Nil is that of Models.
	Chat func(ctx context.Context, m *spec.Model, request model.Request, delta func(string)) (model.Answer, error)
	// Spent returns what a model has answered on a day (see [spec.Day]), to one agent or with "" to all. A nil Spent knows
	// of nothing.
	Spent func(ctx context.Context, day, model string, agent spec.AgentName) (spec.Usage, error)
	Tools *tool.Servers
	// Described says what models are told of an agent's tools in place of the servers, which are then not asked.
	Described func(*spec.Agent) []Tool
	// Lock returns the lock of the newest revision of the watched branch, which counts beside that of the revision that a
	// run is pinned to; known is false where no revision is, and a nil lock is a revision without one, where nothing is
	// pinned. A nil Lock knows none.
	Lock func() (lock *spec.Lock, known bool)
	// Policies returns the policies of the newest revision of the watched branch.
	Policies func() ([]*spec.Policy, error)
	// Begun looks into the ledger for a call without a review that an executor has claimed. A nil Begun means that nothing
	// executes: what a rule lets through without a review is refused.
	Begun func(ctx context.Context, id spec.ActionID) (*spec.DirectCall, error)
	// Describe returns the sentence that describes an agent at a revision, and "" where there is none. A nil Describe knows none.
	Describe func(ctx context.Context, revision spec.Revision, agent spec.AgentName) (string, error)
	// Suspended says why a tool server is not called now, or "". A nil Suspended suspends none.
	Suspended func(server string) string
	// Knowledge answers from the declared sources. Agents with some need it.
	Knowledge Knowledge
	// Files returns the repository's files at a revision.
	Files func(revision spec.Revision) (fs.FS, error)
	// Root is the folder of the repository that holds mainstay.yaml, as a slash-separated path; "" is the repository's
	// root.
	Root string
	// Redactor takes secrets out of answers: those of the tools, and those that models are asked with.
	Redactor *Redactor
	// Now is the clock that agents are told the time of.
	Now func() time.Time
	// Random is where agents' random bytes come from.
	Random io.Reader
}

// Broker answers requests. It is safe for concurrent use.
type Broker struct {
	opts   Options
	models *gateway.Gateway
	// summaries are of the beginnings of conversations; see fit.go.
	summaries *lru.Cache[[sha256.Size]byte, string]
}

// New returns a Broker.
func New(opts Options) *Broker {
	if opts.Chat == nil {
		opts.Chat = opts.Models.Chat
	}
	summaries, err := lru.New[[sha256.Size]byte, string](maxSummaries)
	if err != nil {
		panic(err) // The size is wrong, which is a constant.
	}
	b := &Broker{opts: opts, summaries: summaries}
	b.models = gateway.New(gateway.Options{Chat: b.chat, Spent: opts.Spent, Now: opts.Now})
	return b
}

// Redactor returns the broker's redactor, for what others make known of the same servers.
func (b *Broker) Redactor() *Redactor { return b.opts.Redactor }

// Call is one request of one run.
type Call struct {
	Task spec.Task
	// Agent is the agent at the revision that the run is pinned to.
	Agent *spec.Agent
	// N is the request's number within the run.
	N int
	// At is when the request was recorded.
	At time.Time
	// After is the Action that comes first, where the call becomes one; see [Before]. "" is none.
	After spec.ActionID
	// Expires is how long an Action may wait, as the Fleet says.
	Expires time.Duration
	Request spec.Request
	// Restarted says that the request was served before and cut off, so that it may have had its effect.
	Restarted bool
	// Turn is, for a request to a model, which one of the run this is, from 1. Spent is what the run has asked of models before.
	Turn  int
	Spent []spec.Spent
	// Images are those of the run until now, with their data.
	Images map[spec.Digest]spec.Image
	// Sources are the knowledge sources whose text the run has read before.
	Sources []string
}

// Reply is the answer to a request, or what the request has become: a proposal, or a task for another agent. Exactly one of
// the three is set.
type Reply struct {
	Answer     *spec.Answer
	Proposal   *spec.Proposal
	Delegation *spec.Delegation
	// Rule names the policy rule or default that made it a proposal.
	Rule string
}

// Unavailable is the error for a request that could not be served now, for a reason that neither the agent nor its spec
// can mend: the same request may be made again later.
type Unavailable struct {
	// What could not be reached: `model local`, `tool server cluster`, `files at main@0123456`.
	What string
	Err  error
	// After is how long whoever refuses asks to be left alone; 0 where he does not say.
	After time.Duration
	// Asked is which models were asked, where that has cost something.
	Asked *spec.ModelDecision
}

// Tried returns Asked.
func (u *Unavailable) Tried() *spec.ModelDecision { return u.Asked }

// RetryAfter returns After.
func (u *Unavailable) RetryAfter() time.Duration { return u.After }

// Error says what could not be reached and why.
func (u *Unavailable) Error() string { return u.What + " is not available: " + u.Err.Error() }

// Unwrap returns the reason.
func (u *Unavailable) Unwrap() error { return u.Err }

// refusal is an error that the agent is told as the answer to its request.
type refusal struct {
	message string
	rule    string
	model   *spec.ModelDecision
	// sources are the knowledge sources that the message has words of.
	sources []string
}

func (r *refusal) Error() string { return r.message }

func refuse(format string, args ...any) error {
	return &refusal{message: fmt.Sprintf(format, args...)}
}

// Answer answers one request. Pieces of a model's text go to delta as they come, if it is not nil; they are shown and not
// recorded. What the agent is refused, and what it may react to, is an answer with Error. An error of this function means
// that there is no answer: it is an [*Unavailable], the context's error, or the host's own failure.
func (b *Broker) Answer(ctx context.Context, call Call, delta func(string)) (Reply, error) {
	var reply Reply
	var err error
	switch call.Request.Kind {
	case spec.RequestModel:
		reply, err = b.askModel(ctx, call, delta)
	case spec.RequestTool:
		reply, err = b.callTool(ctx, call)
	case spec.RequestTime:
		reply, err = answer(plugins.TimeAnswer{Time: b.opts.Now().UTC().Format(time.RFC3339Nano)})
	case spec.RequestRandom:
		reply, err = b.random(call)
	case spec.RequestCheck:
		reply, err = b.check(call)
	default:
		err = refuse("request kind %q is not known: use model, tool, time, random or check", call.Request.Kind)
	}
	if refused, ok := err.(*refusal); ok {
		reply = Reply{Answer: &spec.Answer{Error: refused.message, Rule: refused.rule, Model: refused.model, Sources: refused.sources}}
	} else if err != nil {
		return Reply{}, fmt.Errorf("answer request %d: %w", call.N, b.opts.Redactor.Error(err))
	}
	if reply.Answer != nil && reply.Answer.Error != "" {
		reply.Answer.Error = b.opts.Redactor.Text(reply.Answer.Error)
	}
	return reply, nil
}

func (b *Broker) random(call Call) (Reply, error) {
	var request plugins.RandomRequest
	if err := json.Unmarshal(call.Request.Body, &request); err != nil {
		return Reply{}, refuse("the body of the random request is malformed: %v", err)
	}
	if request.N < 1 || request.N > plugins.MaxRandom {
		return Reply{}, refuse("%d random bytes cannot be had: ask for 1 to %d", request.N, plugins.MaxRandom)
	}
	bytes := make([]byte, request.N)
	if _, err := io.ReadFull(b.opts.Random, bytes); err != nil {
		return Reply{}, fmt.Errorf("read random bytes: %w", err)
	}
	return answer(plugins.RandomAnswer{Bytes: bytes})
}

// answer makes a reply of a body that holds no secret.
func answer(body any) (Reply, error) {
	raw, err := plugins.Canonical(body)
	if err != nil {
		return Reply{}, err
	}
	if len(raw) > maxBody {
		return Reply{}, refuse("the answer is %d bytes long, which is more than the %d that fit into a message", len(raw), maxBody)
	}
	return Reply{Answer: &spec.Answer{Body: raw}}, nil
}

// redactJSON returns a JSON text without secrets. JSON that does not parse is an error.
func (b *Broker) redactJSON(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return raw, nil
	}
	value, err := decodeExact(raw)
	if err != nil {
		return nil, err
	}
	return plugins.Canonical(b.opts.Redactor.Value(value))
}
