package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/mainstay-dev/mainstay/plugins/pluginpb"
)

// Request is a request in the form that the host keeps: where it comes from, its kind, and its body as canonical JSON.
type Request struct {
	Lane string
	Kind string
	// Call is the id of the tool call, for kind tool.
	Call string
	Body json.RawMessage
	// Stream says that deltas are wanted, of a model or a tool. It is no part of the body.
	Stream bool
}

// ErrUnknownKind is returned for a request of a kind that this version does not know.
var ErrUnknownKind = errors.New("the request is of a kind that this host does not know")

func isLane(name string) bool {
	return name != "" && len(name) <= MaxLane && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._/:-", r)
	})
}

// RequestFrom checks a request off the wire and returns it in canonical form. The error says which rule of the protocol
// it breaks, and is [ErrUnknownKind] where a newer runtime asks for something new.
func RequestFrom(m *pluginpb.Request) (Request, error) {
	r := Request{Lane: m.GetLane()}
	if r.Lane == "" {
		r.Lane = MainLane
	}
	if !isLane(r.Lane) {
		return r, fmt.Errorf("the lane %.80q is not a name: use 1 to %d letters, digits, hyphens, underscores, dots, slashes or colons", r.Lane, MaxLane)
	}
	var body any
	var err error
	switch b := m.GetBody().(type) {
	case *pluginpb.Request_Model:
		r.Kind, r.Stream = KindModel, b.Model.GetStream()
		body, err = modelRequestFrom(b.Model)
	case *pluginpb.Request_Tool:
		r.Kind, r.Call, r.Stream = KindTool, b.Tool.GetCallId(), b.Tool.GetStream()
		body, err = toolCallFrom(b.Tool)
	case *pluginpb.Request_Time:
		r.Kind, body = KindTime, TimeRequest{}
	case *pluginpb.Request_Random:
		r.Kind, body = KindRandom, RandomRequest{N: int(b.Random.GetBytes())}
		if n := b.Random.GetBytes(); n < 1 || n > MaxRandom {
			err = fmt.Errorf("%d random bytes were asked for: ask for 1 to %d", n, MaxRandom)
		}
	case *pluginpb.Request_Check:
		r.Kind, body = KindCheck, CheckRequest{Output: b.Check.GetOutput()}
	default:
		return r, ErrUnknownKind
	}
	if err != nil {
		return r, err
	}
	r.Body, err = Canonical(body)
	return r, err
}

func modelRequestFrom(m *pluginpb.ModelRequest) (ModelRequest, error) {
	r := ModelRequest{Messages: make([]Message, 0, len(m.GetMessages())), Tools: m.GetTools()}
	for i, p := range m.GetMessages() {
		switch p.GetRole() {
		case RoleSystem, RoleUser, RoleAssistant, RoleTool:
		default:
			return r, fmt.Errorf("message %d has the role %.40q: use user, assistant, tool or system", i, p.GetRole())
		}
		calls, err := toolUsesFrom(p.GetToolUses())
		if err != nil {
			return r, fmt.Errorf("message %d: %w", i, err)
		}
		r.Messages = append(r.Messages, Message{
			Role: p.GetRole(), Text: p.GetText(), Calls: calls, CallID: p.GetToolCallId(), Tool: p.GetToolName(), Images: imagesFrom(p.GetImages()),
		})
		if len(p.GetImages()) > MaxImages {
			return r, fmt.Errorf("message %d shows %d images: show at most %d", i, len(p.GetImages()), MaxImages)
		}
		if len(p.GetImages()) > 0 && p.GetRole() != RoleUser && p.GetRole() != RoleTool {
			return r, fmt.Errorf("message %d has the role %s and shows images: only those of the roles user and tool can", i, p.GetRole())
		}
	}
	var err error
	if r.OutputSchema, err = jsonValue(m.GetOutputSchemaJson()); err != nil {
		return r, fmt.Errorf("output_schema_json: %w", err)
	}
	return r, nil
}

func toolUsesFrom(uses []*pluginpb.ToolUse) ([]ToolUse, error) {
	var out []ToolUse
	for _, u := range uses {
		arguments, err := jsonValue(u.GetArgumentsJson())
		if err != nil {
			return nil, fmt.Errorf("arguments of the call %.80q of %.80q: %w", u.GetCallId(), u.GetName(), err)
		}
		out = append(out, ToolUse{ID: u.GetCallId(), Name: u.GetName(), Arguments: arguments})
	}
	return out, nil
}

func imagesFrom(images []*pluginpb.Image) []Image {
	var out []Image
	for _, i := range images {
		out = append(out, Image{Digest: i.GetDigest(), MediaType: i.GetMediaType(), Bytes: int(min(i.GetBytes(), math.MaxInt32))})
	}
	return out
}

func images(from []Image) []*pluginpb.Image {
	var out []*pluginpb.Image
	for _, i := range from {
		out = append(out, &pluginpb.Image{Digest: utf8(i.Digest), MediaType: utf8(i.MediaType), Bytes: count(i.Bytes)})
	}
	return out
}

func toolCallFrom(m *pluginpb.ToolCall) (ToolCall, error) {
	if m.GetCallId() == "" || len(m.GetCallId()) > MaxCall {
		return ToolCall{}, fmt.Errorf("a tool call has an id of %d bytes: use 1 to %d", len(m.GetCallId()), MaxCall)
	}
	arguments, err := jsonValue(m.GetArgumentsJson())
	if err != nil {
		return ToolCall{}, fmt.Errorf("arguments of the call %.80q of %.80q: %w", m.GetCallId(), m.GetName(), err)
	}
	return ToolCall{ID: m.GetCallId(), Name: m.GetName(), Arguments: arguments}, nil
}

// NewRequest puts a body ([ModelRequest], [ToolCall], [TimeRequest], [RandomRequest] or [CheckRequest]) on the wire. Text that is not
// UTF-8 is made so.
func NewRequest(id uint64, lane string, body any) (*pluginpb.Request, error) {
	m := &pluginpb.Request{Id: id, Lane: lane}
	switch b := body.(type) {
	case ModelRequest:
		p := &pluginpb.ModelRequest{Tools: b.Tools, OutputSchemaJson: string(b.OutputSchema), Stream: b.Stream}
		for _, message := range b.Messages {
			p.Messages = append(p.Messages, &pluginpb.Message{
				Role: message.Role, Text: utf8(message.Text), ToolUses: toolUses(message.Calls),
				ToolCallId: utf8(message.CallID), ToolName: utf8(message.Tool),
				Images: images(message.Images),
			})
		}
		m.Body = &pluginpb.Request_Model{Model: p}
	case ToolCall:
		m.Body = &pluginpb.Request_Tool{Tool: &pluginpb.ToolCall{
			CallId: utf8(b.ID), Name: utf8(b.Name), ArgumentsJson: utf8(string(b.Arguments)), Stream: b.Stream,
		}}
	case TimeRequest:
		m.Body = &pluginpb.Request_Time{Time: &pluginpb.TimeRequest{}}
	case RandomRequest:
		if b.N < 1 || b.N > MaxRandom {
			return nil, fmt.Errorf("%d random bytes were asked for: ask for 1 to %d", b.N, MaxRandom)
		}
		m.Body = &pluginpb.Request_Random{Random: &pluginpb.RandomRequest{Bytes: uint32(b.N)}}
	case CheckRequest:
		m.Body = &pluginpb.Request_Check{Check: &pluginpb.CheckRequest{Output: utf8(b.Output)}}
	default:
		return nil, fmt.Errorf("%T is not the body of a request", body)
	}
	return m, nil
}

func toolUses(uses []ToolUse) []*pluginpb.ToolUse {
	var out []*pluginpb.ToolUse
	for _, u := range uses {
		out = append(out, &pluginpb.ToolUse{CallId: utf8(u.ID), Name: utf8(u.Name), ArgumentsJson: utf8(string(u.Arguments))})
	}
	return out
}

// AnswerTo puts the answer to request id on the wire. The body is JSON in the form of the answer to a request of that
// kind: [ModelAnswer], [ToolResult], [TimeAnswer], [RandomAnswer] or [CheckAnswer].
func AnswerTo(id uint64, kind string, body json.RawMessage) (*pluginpb.Answer, error) {
	m := &pluginpb.Answer{Id: id}
	var err error
	switch kind {
	case KindModel:
		var b ModelAnswer
		err = json.Unmarshal(body, &b)
		m.Body = &pluginpb.Answer_Model{Model: &pluginpb.ModelAnswer{
			Text: utf8(b.Text), Calls: toolUses(b.Calls), FinishReason: b.Finish,
			Usage: &pluginpb.Usage{InputTokens: count(b.Usage.Input), OutputTokens: count(b.Usage.Output)},
		}}
	case KindTool:
		var b ToolResult
		err = json.Unmarshal(body, &b)
		m.Body = &pluginpb.Answer_Tool{Tool: &pluginpb.ToolResult{
			Text: utf8(b.Text), StructuredJson: utf8(string(b.Structured)), IsError: b.IsError, Images: images(b.Images),
		}}
	case KindTime:
		var b TimeAnswer
		err = json.Unmarshal(body, &b)
		m.Body = &pluginpb.Answer_Time{Time: &pluginpb.TimeAnswer{Time: b.Time}}
	case KindRandom:
		var b RandomAnswer
		err = json.Unmarshal(body, &b)
		m.Body = &pluginpb.Answer_Random{Random: &pluginpb.RandomAnswer{Data: b.Bytes}}
	case KindCheck:
		var b CheckAnswer
		err = json.Unmarshal(body, &b)
		m.Body = &pluginpb.Answer_Check{Check: &pluginpb.CheckAnswer{Ok: b.OK, Problem: utf8(b.Problem)}}
	default:
		return nil, fmt.Errorf("answer a request of kind %q: %w", kind, ErrUnknownKind)
	}
	if err != nil {
		return nil, fmt.Errorf("answer a request of kind %s: %w", kind, err)
	}
	return m, nil
}

// RefusalTo puts the refusal of request id on the wire.
func RefusalTo(id uint64, r Refusal) *pluginpb.Answer {
	return &pluginpb.Answer{Id: id, Body: &pluginpb.Answer_Refusal{
		Refusal: &pluginpb.Refusal{Code: r.Code, Message: utf8(r.Message)},
	}}
}

// AnswerFrom reads an answer off the wire into one of the answers' types. A refusal is returned as a [*Refusal] error.
func AnswerFrom(m *pluginpb.Answer) (any, error) {
	switch b := m.GetBody().(type) {
	case *pluginpb.Answer_Model:
		calls, err := toolUsesFrom(b.Model.GetCalls())
		return ModelAnswer{
			Text: b.Model.GetText(), Calls: calls, Finish: b.Model.GetFinishReason(),
			Usage: Usage{Input: int(b.Model.GetUsage().GetInputTokens()), Output: int(b.Model.GetUsage().GetOutputTokens())},
		}, err
	case *pluginpb.Answer_Tool:
		structured, err := jsonValue(b.Tool.GetStructuredJson())
		return ToolResult{Text: b.Tool.GetText(), Structured: structured, IsError: b.Tool.GetIsError(), Images: imagesFrom(b.Tool.GetImages())}, err
	case *pluginpb.Answer_Time:
		return TimeAnswer{Time: b.Time.GetTime()}, nil
	case *pluginpb.Answer_Random:
		return RandomAnswer{Bytes: b.Random.GetData()}, nil
	case *pluginpb.Answer_Check:
		return CheckAnswer{OK: b.Check.GetOk(), Problem: b.Check.GetProblem()}, nil
	case *pluginpb.Answer_Refusal:
		return nil, &Refusal{Code: b.Refusal.GetCode(), Message: b.Refusal.GetMessage()}
	}
	return nil, ErrUnknownKind
}

// utf8 keeps protocol buffers from refusing a message whose text is not UTF-8.
func utf8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func count(n int) uint64 { return uint64(max(n, 0)) }
