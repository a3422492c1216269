package spec

import (
	"cmp"
	"math"
)

// The providers of models.
const (
	// ProviderScripted answers by the rules in the Model itself.
	ProviderScripted = "scripted"
	// ProviderOllama asks an Ollama server.
	ProviderOllama = "ollama"
	// ProviderOpenAI asks any server that speaks OpenAI's protocol.
	ProviderOpenAI = "openai"
	// ProviderAnthropic asks Anthropic's API.
	ProviderAnthropic = "anthropic"
	// ProviderReplay answers from a recording.
	ProviderReplay = "replay"
)

// The APIs of provider openai.
const (
	// APIChatCompletions is the older one, which every compatible server has.
	APIChatCompletions = "chatCompletions"
	// APIResponses is the newer one.
	APIResponses = "responses"
)

// ModelSpec declares a model and who serves it. An answer that is of no use, because it is empty, repeats itself without end, or calls
// a tool wrongly, is asked for again at most twice; after that the request has failed.
type ModelSpec struct {
	// Provider is who serves the model: scripted by the rules in this file, replay by a recording, and the others by a server.
	Provider string `json:"provider" check:"required,enum=anthropic|ollama|openai|replay|scripted" hint:"known are anthropic, ollama, openai, replay, scripted"`
	// Name is the provider's name of the model, such as `qwen3:4b`. Required but for scripted and replay.
	Name string `json:"name,omitempty" check:"max=512"`
	// Endpoint is the base URL of the server; a query in it is sent with every request. Default for ollama: OLLAMA_HOST in
	// Mainstay's own environment, or else http://127.0.0.1:11434; for openai https://api.openai.com/v1; for anthropic
	// https://api.anthropic.com.
	Endpoint string `json:"endpoint,omitempty" check:"pattern=url"`
	// API is which of OpenAI's APIs a server of provider openai is asked by: chatCompletions, which all know, or responses.
	API string `json:"api,omitempty" check:"enum=chatCompletions|responses,default=chatCompletions"`
	// APIKey is what the server knows Mainstay by. It is sent as a bearer token, to Anthropic's API as x-api-key, and read again
	// for each request.
	APIKey *SecretRef `json:"apiKey,omitempty"`
	// Headers are sent with every request.
	Headers []Header `json:"headers,omitempty" check:"max=32"`
	// Parameters are passed to the provider as they are: temperature, seed or num_ctx for ollama; for openai and anthropic any
	// field of the request, such as reasoning_effort, thinking or max_tokens, which is 8192 for anthropic where it is missing.
	Parameters map[string]any `json:"parameters,omitempty"`
	// Rules are the answers of a scripted model: the first rule whose When holds answers.
	Rules []ScriptRule `json:"rules,omitempty" check:"max=1000"`
	// Recording is the path from the folder of mainstay.yaml of the answers that a model of provider replay gives: the record of
	// a run, as `mainstay logs RUN -o json` writes it.
	Recording string `json:"recording,omitempty" check:"max=1024"`
	// Match says what a model of provider replay does with a request that is not in its recording, the ids of calls apart:
	// strict fails and says what differs, lenient gives the answer to the most similar request of the same turn.
	Match string `json:"match,omitempty" check:"enum=lenient|strict,default=strict"`
	// Vision says whether the model can be shown images. One that cannot is told of the images of a tool's result in words, and a
	// task with an image fails. Default: for ollama what the server says, for anthropic and replay true, for the others false.
	Vision *bool `json:"vision,omitempty"`
	// Source says where Ollama gets the model, and which one it must be. Without it a model that the server does not have is
	// missing, and nobody pulls it.
	Source *ModelSource `json:"source,omitempty"`
	// KeepAlive is how long Ollama keeps the model in memory after an answer. Default: what the server is set to, normally
	// five minutes.
	KeepAlive Duration `json:"keepAlive,omitempty" check:"min=1s,max=24h"`
	// Fallbacks are asked in this order when the model cannot answer.
	Fallbacks []Fallback `json:"fallbacks,omitempty" check:"max=16"`
	// Routes choose another model by what is asked: the first one that holds.
	Routes []Route `json:"routes,omitempty" check:"max=64"`
	// Split shares runs out among models, itself too if it is named. A run stays with the model it got.
	Split []Share `json:"split,omitempty" check:"max=16"`
	// Retry says how often a request that failed is sent again, before a fallback is asked: where the server could not be
	// reached, broke off before the first piece of text, asked to wait or was too slow. A server that names a time to wait
	// is given it; one that wants longer than maxBackoff is not asked again. Without it a request is sent once; a run that
	// has no answer is tried again later in any case.
	Retry *Retry `json:"retry,omitempty"`
	// Timeouts bound one request.
	Timeouts *ModelTimeouts `json:"timeouts,omitempty"`
	// Breaker leaves a server alone for a while that fails again and again.
	Breaker *Breaker `json:"breaker,omitempty"`
	// Hedge sends a request a second time when the first one is slow, and takes the answer that begins first.
	Hedge *Hedge `json:"hedge,omitempty"`
	// Rate bounds how much the model is asked by all agents together. A request that would be too many waits for up to a
	// minute; it does not wait where a fallback is asked when the model is rateLimited.
	Rate *Rate `json:"rate,omitempty"`
	// AgentRate bounds how much each agent asks the model, in the same way.
	AgentRate *Rate `json:"agentRate,omitempty"`
	// Cache answers a request that was answered before.
	Cache *AnswerCache `json:"cache,omitempty"`
	// Budget bounds what the model may cost. A run that needs more gets no answer; what is under way when a budget is used
	// up still ends.
	Budget *Budget `json:"budget,omitempty"`
	// Price is what the model costs. What each answer costs is in the record of its run, and limits.cost bounds the sum.
	Price *Price `json:"price,omitempty"`
	// Context says what happens when a conversation outgrows the model.
	Context *Context `json:"context,omitempty"`
}

// ModelSource says where Ollama gets a model.
type ModelSource struct {
	// Pull says when the model is pulled from its registry: when the server does not have it, also once whenever it is declared
	// anew or Mainstay starts, or never. A name that begins with http:// is pulled without TLS.
	Pull string `json:"pull,omitempty" check:"enum=always|missing|never,default=missing"`
	// File is the path from the folder of mainstay.yaml of a GGUF file or Modelfile that the model is created from, instead. A path
	// that begins with / is that of a GGUF file on the machine that Mainstay runs on, and so may FROM and ADAPTER in a Modelfile name
	// one. FROM may also name a model, such as that of another Model, which the server must have: nothing is pulled for it.
	// When the file changes the model is made again, if it is the one that Mainstay had made.
	File string `json:"file,omitempty" check:"max=1024"`
	// Digest is the model's, as the server reports it. Another one is refused.
	Digest string `json:"digest,omitempty" check:"pattern=digest"`
}

// Fallback is asked when a model cannot answer.
type Fallback struct {
	// Model names a Model.
	Model string `json:"model" check:"required" hint:"write model: NAME"`
	// On says in which cases. Empty means in all.
	On []string `json:"on,omitempty" check:"max=8,enum=budgetExceeded|contextExceeded|failed|rateLimited|timedOut|unavailable"`
}

// Route chooses a model by what is asked.
type Route struct {
	// When is a CEL expression of type bool over `request`: agent, images (how many the conversation shows), labels (the agent's), task, tokens (an estimate of the
	// prompt's size), turn (which question of the run to a model this is, from 1). Where it cannot be evaluated it does not hold.
	When string `json:"when" check:"required" hint:"write an expression over request, such as when: request.tokens > 8000"`
	// Model names a Model.
	Model string `json:"model" check:"required" hint:"write model: NAME"`
}

// Share is a model's share of the runs.
type Share struct {
	// Model names a Model.
	Model string `json:"model" check:"required" hint:"write model: NAME"`
	// Weight is the share's size in relation to the other weights.
	Weight int `json:"weight" check:"required,min=1,max=1000" hint:"write weight: 1"`
}

// Retry says how often something that failed is tried again. The wait doubles from Backoff to MaxBackoff.
type Retry struct {
	// Attempts is how often it is tried in all.
	Attempts int `json:"attempts,omitempty" check:"default=3,min=1,max=20"`
	// Backoff is the first wait.
	Backoff Duration `json:"backoff,omitempty" check:"default=1s,min=1ms,max=1h"`
	// MaxBackoff is the longest wait.
	MaxBackoff Duration `json:"maxBackoff,omitempty" check:"default=1m,min=1ms,max=24h"`
}

// ModelTimeouts bound one request to a model.
type ModelTimeouts struct {
	// FirstToken is how long the model may be silent.
	FirstToken Duration `json:"firstToken,omitempty" check:"min=1ms,max=1h"`
	// Total is how long the whole answer may take.
	Total Duration `json:"total,omitempty" check:"min=1ms,max=24h"`
}

// Breaker leaves a server alone that fails: it opens after so many failures in a row, and each cooldown lets one request
// through to see whether it works again.
type Breaker struct {
	// Failures is how many requests fail in a row before the server is left alone.
	Failures int `json:"failures,omitempty" check:"default=5,min=1,max=1000"`
	// Cooldown is how long it is left alone.
	Cooldown Duration `json:"cooldown,omitempty" check:"default=30s,min=1ms,max=24h"`
}

// Hedge sends a request that is slow a second time, if the model's rates let it at once. Both cost.
type Hedge struct {
	// After is how long the model may be silent before the request is sent again.
	After Duration `json:"after" check:"required,min=1ms,max=1h" hint:"write after: 5s"`
	// Most is how often it is sent in all.
	Most int `json:"most,omitempty" check:"default=2,min=2,max=5"`
}

// Rate bounds how much a model is asked.
type Rate struct {
	// Concurrent is how many requests are under way at once.
	Concurrent int `json:"concurrent,omitempty" check:"min=1,max=10000"`
	// RequestsPerMinute is how many requests are sent in a minute, those that are sent again among them.
	RequestsPerMinute int `json:"requestsPerMinute,omitempty" check:"min=1,max=1000000"`
	// TokensPerMinute is how many tokens are read and written in a minute.
	TokensPerMinute int `json:"tokensPerMinute,omitempty" check:"min=1,max=1000000000"`
}

// AnswerCache answers a request that was answered before, to the letter. The answers are in memory: at most 1,000 of each
// model, none of more than 64 KiB.
type AnswerCache struct {
	// TTL is how long an answer is kept.
	TTL Duration `json:"ttl" check:"required,min=1s,max=8760h" hint:"write ttl: 1h"`
	// Scope says who shares the answers.
	Scope string `json:"scope,omitempty" check:"enum=agent|fleet|run,default=agent"`
}

// Budget bounds what a model may cost. Money is in the currency of the price. One that is not used up lets one more request
// through, whatever that will take; those under way at the same time count with what they send.
type Budget struct {
	// TokensPerRun is how many tokens one run may use.
	TokensPerRun int `json:"tokensPerRun,omitempty" check:"min=1"`
	// TokensPerDay is how many tokens all runs may use from midnight to midnight, UTC.
	TokensPerDay int `json:"tokensPerDay,omitempty" check:"min=1"`
	// TokensPerAgentDay is how many tokens all runs of one agent may use from midnight to midnight, UTC.
	TokensPerAgentDay int `json:"tokensPerAgentDay,omitempty" check:"min=1"`
	// CostPerRun is what one run may cost.
	CostPerRun float64 `json:"costPerRun,omitempty" check:"min=0"`
	// CostPerDay is what all runs may cost from midnight to midnight, UTC.
	CostPerDay float64 `json:"costPerDay,omitempty" check:"min=0"`
	// CostPerAgentDay is what all runs of one agent may cost from midnight to midnight, UTC.
	CostPerAgentDay float64 `json:"costPerAgentDay,omitempty" check:"min=0"`
}

// Price is what a million tokens cost.
type Price struct {
	// Input is the price of a million tokens that are read.
	Input float64 `json:"input,omitempty" check:"min=0"`
	// Output is the price of a million tokens that are written.
	Output float64 `json:"output,omitempty" check:"min=0"`
	// Cached is the price of a million tokens that the provider has read before. Default: that of input.
	Cached float64 `json:"cached,omitempty" check:"min=0"`
	// Currency is an ISO 4217 code.
	Currency string `json:"currency,omitempty" check:"default=USD,min=3,max=3"`
}

// defaultCurrency is that of prices that name none.
const defaultCurrency = "USD"

// Of returns the usage with what it costs. A model without a price has the cost 0 in no currency.
func (p *Price) Of(u Usage) Usage {
	u.Cost, u.Currency = 0, ""
	if p == nil {
		return u
	}
	cached := min(max(u.Cached, 0), u.Input)
	u.Cost = money((float64(u.Input-cached)*p.Input + float64(cached)*cmp.Or(p.Cached, p.Input) + float64(u.Output)*p.Output) / 1e6)
	u.Currency = cmp.Or(p.Currency, defaultCurrency)
	return u
}

// money rounds an amount to nine decimals, so that a sum of many small ones is the same whatever they are made of.
func money(amount float64) float64 { return math.Round(amount*1e9) / 1e9 }

// The values of [Context.Compact].
const (
	// CompactFail ends a run whose thread is too long.
	CompactFail = "fail"
	// CompactDropOldest leaves out the oldest messages of a thread.
	CompactDropOldest = "dropOldest"
	// CompactSummarize has the model write a summary of the oldest messages of a thread, and of those of a run.
	CompactSummarize = "summarize"
	// CompactDropToolResults leaves out the oldest results of tools within a run. A thread has none, and is treated as with
	// CompactFail.
	CompactDropToolResults = "dropToolResults"
)

// Context says what happens when a conversation outgrows a model. Tokens are estimated, at three bytes each.
type Context struct {
	// Window is how many tokens the model reads at once. A longer request is refused and not sent. Half of them are for what was
	// said before in a thread. Default: for ollama, num_ctx among the parameters, and the server refuses what is longer; where
	// that is missing too, 256 KiB of a thread are remembered.
	Window int `json:"window,omitempty" check:"min=256,max=100000000"`
	// Compact says how a conversation that is too long is made to fit: dropOldest leaves out the oldest messages of a thread,
	// summarize has the model write a summary of them, and of the oldest ones within a run, which counts for the run,
	// dropToolResults leaves out the oldest results of tools within a run, and fail ends a run whose thread is too long. What is
	// longer than the window all the same is refused, and is a case for a fallback on contextExceeded.
	Compact string `json:"compact,omitempty" check:"enum=dropOldest|dropToolResults|fail|summarize,default=fail"`
}
