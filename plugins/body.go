package plugins

import (
	"encoding/json"
)

// The kinds of requests. They are the same words as in a run's record.
const (
	KindModel  = "model"
	KindTool   = "tool"
	KindTime   = "time"
	KindRandom = "random"
	KindCheck  = "check"
)

// Window is how many bytes a side takes of a stream, and of a connection, before it has read them: HTTP/2's initial window (RFC 9113,
// section 6.9.2). gRPC finds out which one suits by pings, two more messages for each, where it is not told; on a socket within a machine
// there is nothing to find out. A runtime may choose another.
const Window = 1 << 20

// The limits of the protocol. The host enforces all of them.
const (
	// MaxMessage is the largest message on a run's stream, in bytes, in either direction.
	MaxMessage = 4 << 20
	// MaxOutstanding is how many requests of one run may wait for their answers at once.
	MaxOutstanding = 64
	// MaxRandom is the most random bytes one request can ask for.
	MaxRandom = 1024
	// MaxLane is the longest name of a lane, in bytes.
	MaxLane = 64
	// MaxCall is the longest id of a tool call, in bytes.
	MaxCall = 256
	// MaxImages is how many images one message can show.
	MaxImages = 16
	// MaxLogText is the longest text of one log message, in bytes. Longer ones are cut.
	MaxLogText = 4 << 10
	// MaxLogs is how many log messages of one run are kept. More are dropped, and far more end the run.
	MaxLogs = 1000
)

// FeatureImages is the feature of a runtime that passes the images of its task on to its model, as [Run.Conversation] has them. One
// without it is given no such task.
const FeatureImages = "images"

// FeatureCheck is the feature of a runtime that has its output checked, see [Run.Check], where the host asks for it.
const FeatureCheck = "check"

// MainLane is the lane that a run starts with.
const MainLane = "main"

// The roles of messages.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
	RoleTool      = "tool"
)

// The reasons for which a model's answer ends.
const (
	FinishStop   = "stop"   // the model has said all it wants to say
	FinishCalls  = "calls"  // the model waits for tool results
	FinishLength = "length" // the answer is cut off
)

// ModelRequest asks a model to continue a conversation. Its JSON is the body of a request of kind model.
type ModelRequest struct {
	// Messages are the conversation without the agent's instructions, which the host puts first.
	Messages []Message `json:"messages"`
	// Tools are the names of the tools offered to the model; the host adds their descriptions and schemas. Empty offers
	// none. Their order means nothing: the canonical form is sorted and holds each name once.
	Tools []string `json:"tools,omitempty"`
	// OutputSchema is the JSON Schema that the answer's text must follow; empty means free text.
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	// Stream asks for deltas while the answer is made. It changes nothing else, so it is no part of the JSON.
	Stream bool `json:"-"`
}

// Message is one message of a conversation.
type Message struct {
	// Role is one of the Role constants.
	Role string `json:"role"`
	Text string `json:"text,omitempty"`
	// Calls are the tool calls that an assistant's message asks for.
	Calls []ToolUse `json:"calls,omitempty"`
	// CallID and Tool say which call a tool's message answers.
	CallID string `json:"callId,omitempty"`
	Tool   string `json:"tool,omitempty"`
	// Images are those that a user's message or a tool's shows, at most [MaxImages].
	Images []Image `json:"images,omitempty"`
}

// Image names an image that the host keeps: one of the task, or of a tool's result.
type Image struct {
	// Digest is the SHA-256 of the image, as sha256: and 64 hexadecimal digits.
	Digest string `json:"digest"`
	// MediaType is image/png, image/jpeg, image/webp or image/gif.
	MediaType string `json:"mediaType"`
	// Bytes is its size.
	Bytes int `json:"bytes"`
}

// ToolUse is a tool call as a model asks for it.
type ToolUse struct {
	// ID is given by the host and is unique within a run.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Arguments is any JSON value, normally an object. Empty and null become {} in the canonical form.
	Arguments json.RawMessage `json:"arguments"`
}

// ModelAnswer is a model's answer: the body of an answer of kind model.
type ModelAnswer struct {
	Text  string    `json:"text,omitempty"`
	Calls []ToolUse `json:"calls,omitempty"`
	// Finish is one of the Finish constants.
	Finish string `json:"finish,omitempty"`
	Usage  Usage  `json:"usage,omitzero"`
}

// Usage counts tokens.
type Usage struct {
	Input  int `json:"input"`
	Output int `json:"output"`
}

// ToolCall calls a tool: the body of a request of kind tool. It is a ToolUse that the agent decides to carry out.
type ToolCall struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
	// Stream asks for deltas, which a call that gives a task to another agent has. It is no part of the JSON.
	Stream bool `json:"-"`
}

// ToolResult is what a tool answers: the body of an answer of kind tool.
type ToolResult struct {
	Text string `json:"text,omitempty"`
	// Structured is any JSON value that the tool gave besides its text.
	Structured json.RawMessage `json:"structured,omitempty"`
	// IsError says that the tool ran and failed.
	IsError bool `json:"isError,omitempty"`
	// Images are those that the tool gave. Text says where they stood in it.
	Images []Image `json:"images,omitempty"`
}

// TimeRequest asks for the time: the body of a request of kind time.
type TimeRequest struct{}

// TimeAnswer is the body of an answer of kind time.
type TimeAnswer struct {
	// Time is in the form of RFC 3339 with nanoseconds, in UTC.
	Time string `json:"time"`
}

// RandomRequest asks for random bytes: the body of a request of kind random.
type RandomRequest struct {
	// N is the number of bytes, from 1 to [MaxRandom].
	N int `json:"n"`
}

// RandomAnswer is the body of an answer of kind random.
type RandomAnswer struct {
	Bytes []byte `json:"bytes"`
}

// CheckRequest asks whether an output is what the run must end with: the body of a request of kind check.
type CheckRequest struct {
	Output string `json:"output"`
}

// CheckAnswer is the body of an answer of kind check.
type CheckAnswer struct {
	// OK says that the output may end the run.
	OK bool `json:"ok"`
	// Problem says, for a model, what is wrong with the output otherwise.
	Problem string `json:"problem,omitempty"`
}

// The codes of refusals that the host itself uses.
const (
	// RefusedInvalid: the request breaks a rule of the protocol.
	RefusedInvalid = "invalid"
	// RefusedUnsupported: the host does not know this kind of request.
	RefusedUnsupported = "unsupported"
	// RefusedByHost: a policy, a limit or a failure, as the message says.
	RefusedByHost = "refused"
)

// Refusal is the answer to a request that the host does not grant, as an error.
type Refusal struct {
	Code    string
	Message string
}

// Error says what the host said.
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }
