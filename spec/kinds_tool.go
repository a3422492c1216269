package spec

// ToolServerSpec declares an MCP server (https://modelcontextprotocol.io) that agents may call through the host. Exactly
// one of Command and URL is set.
type ToolServerSpec struct {
	// Command is the server's executable and its arguments; it speaks MCP on stdin and stdout. A first element
	// `mainstay` is this very executable. The server runs in a private folder of the state folder.
	Command []string `json:"command,omitempty" check:"max=256"`
	// Env is the server's whole environment besides PATH and HOME. It is for a command.
	Env []EnvVar `json:"env,omitempty" check:"max=256"`
	// URL is that of a server that runs elsewhere and speaks MCP over streamable HTTP.
	URL string `json:"url,omitempty" check:"later,pattern=url"`
	// Headers are sent with every request to the URL.
	Headers []Header `json:"headers,omitempty" check:"later,max=32"`
	// Tools are the server's tools that agents may be given, by their names. A tool that is not here is denied.
	Tools map[string]ToolSpec `json:"tools" check:"required,max=1000" hint:"a tool that is not declared is denied, so agents can call none"`
	// Timeout bounds each call.
	Timeout Duration `json:"timeout,omitempty" check:"default=30s,min=1ms,max=1h"`
	// Windows are the times in which approved Actions of this server are executed; outside of them they wait, and may expire.
	// They take the place of the Fleet's. Read tools are called at any time. Default: those of the Fleet.
	Windows []Window `json:"windows,omitempty" check:"min=1,max=32" hint:"leave windows out for any time"`
	// Suspend holds the server: none of its tools is called. Agents that call a read tool are told so; calls of write tools
	// become proposals as ever, and approved Actions wait. `mainstay suspend toolserver/NAME` does it at once, for one
	// daemon.
	Suspend bool `json:"suspend,omitempty"`
}

// Window is a time that comes again and again, such as every night from ten for two hours.
type Window struct {
	// Schedule says when it begins.
	Schedule
	// Duration is how long it lasts. An Action that has started by its end is not cut off.
	Duration Duration `json:"duration" check:"required,min=1m,max=168h" hint:"write duration: 2h"`
}

// EnvVar is one variable of a tool server's environment: a value, or a reference that the host resolves when it starts
// the server. Referenced values are secrets: they are redacted wherever they would appear.
type EnvVar struct {
	// Name is the variable's.
	Name string `json:"name" check:"required,pattern=variable" hint:"write name: NAME"`
	// Value is the value itself. Exactly one of Value and From is set.
	Value string `json:"value,omitempty"`
	// From says where the value is, if it is a secret.
	From *SecretRef `json:"from,omitempty"`
}

// The effects of a tool.
const (
	// EffectRead tools change nothing and are called directly.
	EffectRead = "read"
	// EffectWrite tools change the world; a call becomes an Action that a person approves.
	EffectWrite = "write"
	// EffectDenied tools cannot be called.
	EffectDenied = "denied"
)

// ToolSpec declares what a tool does to the world.
type ToolSpec struct {
	// Effect is read, write or denied.
	Effect string `json:"effect" check:"required,enum=denied|read|write" hint:"read changes nothing, write changes the world, denied cannot be called"`
	// Summary is the sentence a reviewer reads, with `${ CEL }` over `arguments`, such as
	// `Restart deployment ${ arguments.name }`. For write tools.
	Summary string `json:"summary,omitempty"`
	// Target names the arguments that say what the call is about. Two calls with the same target are the same proposal.
	// Default: all arguments. For write tools.
	Target []string `json:"target,omitempty" check:"min=1,max=64" hint:"leave target out for all arguments"`
	// Touches are the paths of the repository that a call is about, with `${ CEL }` over `arguments`, such as
	// `manifests/${ arguments.name }.yaml`. Their owners in the CODEOWNERS file of the branch approve the call. Default: the
	// owners of the Action's own file. For write tools.
	Touches []string `json:"touches,omitempty" check:"min=1,max=16"`
	// Idempotent says that a second call with the same arguments changes nothing more. For write tools.
	Idempotent bool `json:"idempotent,omitempty"`
	// Precondition is checked right before the effect. For write tools.
	Precondition *Precondition `json:"precondition,omitempty"`
	// Undo says how an effect of the tool is compensated. Once something fails after it in the same run, the call that undoes it
	// is offered as a proposal, which a person merges or rejects like any other. For write tools.
	Undo *Undo `json:"undo,omitempty"`
	// Concurrency is how many calls with the same target may be under way at once, whoever executes them. The target is that
	// of the server's tools: two tools that name the same arguments as their target, with the same values, share it. A call
	// of which nobody knows whether it happened is under way until a person has resolved it. For write tools.
	Concurrency int `json:"concurrency,omitempty" check:"default=1,min=1,max=100"`
	// Limit is how often the tool is called; approved Actions beyond it wait. It is counted in the ledger, so it holds across
	// restarts and executors. For write tools. Default: no limit.
	Limit *CallLimit `json:"limit,omitempty"`
	// Timeout is how long the call may take; a start without a receipt is unknown after it. Default: the server's.
	Timeout Duration `json:"timeout,omitempty" check:"min=1ms,max=1h"`
}

// CallLimit is how many calls may start in any time of a length.
type CallLimit struct {
	// Calls is how many.
	Calls int `json:"calls" check:"required,min=1,max=1000000" hint:"write calls: 10"`
	// Per is in what time.
	Per Duration `json:"per" check:"required,min=1s,max=8760h" hint:"write per: 1h"`
}

// TargetOf are the arguments that say what a call is about.
func (t ToolSpec) TargetOf(arguments map[string]any) map[string]any {
	if len(t.Target) == 0 {
		return arguments
	}
	about := map[string]any{}
	for _, name := range t.Target {
		if value, ok := arguments[name]; ok {
			about[name] = value
		}
	}
	return about
}

// Precondition is a call of a read tool of the same server, and a check of its result.
type Precondition struct {
	// Tool is a read tool of the same server.
	Tool string `json:"tool" check:"required" hint:"name a read tool of the same server"`
	// Arguments are JSON values; in a ToolServer each string in them is a template over `arguments`.
	Arguments map[string]any `json:"arguments,omitempty"`
	// Check is a CEL expression of type bool over `result`: the tool's structured result, or else its text.
	Check string `json:"check" check:"required" hint:"write an expression over result, such as check: result.ready == true"`
}

// Undo is a call of another write tool that compensates for a call.
type Undo struct {
	// Server names the ToolServer of the tool. Default: the same server.
	Server string `json:"server,omitempty" check:"pattern=name"`
	// Tool is a write tool, and another one than that which it undoes.
	Tool string `json:"tool" check:"required" hint:"name the write tool that takes the effect back"`
	// Arguments are JSON values; each string in them is a template with `${ CEL }` over `arguments`, those of the call that is
	// undone, and `result`, what its receipt holds: the tool's structured result, or else its text, or null where there is none.
	// An undo whose arguments cannot be made of these is not offered.
	Arguments map[string]any `json:"arguments,omitempty"`
}
