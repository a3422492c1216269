package ollamatest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Script is a model that says what is written here.
type Script struct {
	// Turns are its answers: the first one where it has said nothing yet, the next one once it has answered once, and so on; after
	// the last one the last one comes again. Each answer is in pieces, which come one by one. A piece that comes twice in a
	// script is two pieces the second time.
	Turns [][]string
	// Of are its answers to conversations that begin with these words of a user, in place of Turns. [Any] stands for one byte.
	Of map[string][][]string
	// Tools makes it a model that can call tools: [Call] writes such a piece.
	Tools bool
	// Thinks makes it one that thinks: a piece between [Think] and [Thought] is not part of the answer.
	Thinks bool
	// Reads has it read what it is told, a token for each character. Without it a conversation is one token long.
	Reads bool
	// Endless has it repeat the last piece of an answer without end.
	Endless bool
}

// Any stands for any byte of what a user says, such as one of a commit's id.
const Any = "\x00"

// What stands around a thought.
const (
	Think   = "<think>"
	Thought = "</think>"
)

// toolCall is what Ollama looks for before tool calls, because it stands before .ToolCalls in the template.
const toolCall = "<tool_call>"

// Call is the last piece of an answer that calls a tool, or the one after another Call.
func Call(tool string, arguments any) string {
	raw, err := json.Marshal(map[string]any{"name": tool, "arguments": arguments})
	if err != nil {
		panic(err) // A test's own literal.
	}
	return toolCall + string(raw)
}

// vocabulary is what a model reads and writes. No two tokens are alike, or the model cannot be loaded.
type vocabulary struct {
	tokens []string
	scores []float32
	types  []int32
	known  map[string]bool
}

// The types of tokens.
const (
	normal  = 1
	unknown = 2
	control = 3
	aByte   = 6
)

// The tokens that every model has.
const (
	begin = 1
	end   = 2
)

func (v *vocabulary) add(text string, score float32, kind int32) int {
	v.tokens, v.scores, v.types = append(v.tokens, text), append(v.scores, score), append(v.types, kind)
	v.known[text] = true
	return len(v.tokens) - 1
}

// piece adds a piece of an answer, in two where it is known, and returns its tokens; none where it cannot.
func (v *vocabulary) piece(text string) []int {
	text = strings.ReplaceAll(text, " ", "\u2581") // How a space is written.
	// What is read is never taken for a piece, because nothing leads from its characters to the whole of it.
	const never = -1000
	if text != "" && !v.known[text] {
		return []int{v.add(text, never, normal)}
	}
	for i := range text {
		if before, after := text[:i], text[i:]; i > 0 && before != after && !v.known[before] && !v.known[after] {
			return []int{v.add(before, never, normal), v.add(after, never, normal)}
		}
	}
	return nil
}

// dialogue is a conversation: what it begins with, "" for any, and the answers.
type dialogue struct {
	begin string
	turns [][]string
}

// dialogues are those of the script, the one for any beginning first.
func (s Script) dialogues() []dialogue {
	all := []dialogue{{"", s.Turns}}
	for _, begin := range slices.Sorted(maps.Keys(s.Of)) {
		all = append(all, dialogue{begin, s.Of[begin]})
	}
	return all
}

// GGUF returns the model's file. It is a llama of one layer without attention: the embedding of each token is a direction of its
// own, and the output matrix says which token follows. A token of its own for each turn begins the answer; the template writes it.
func (s Script) GGUF() ([]byte, error) {
	v, next, err := s.vocabulary()
	if err != nil {
		return nil, err
	}
	return s.file(v, next).bytes(), nil
}

// Adapter returns the file of a low-rank adapter of the model, which changes nothing of what it says.
func (s Script) Adapter() ([]byte, error) {
	v, _, err := s.vocabulary()
	if err != nil {
		return nil, err
	}
	const rank = 1
	dim := aligned(len(v.tokens))
	g := &gguf{}
	g.set("general.architecture", "llama")
	g.set("general.type", "adapter")
	g.set("adapter.type", "lora")
	g.set("adapter.lora.alpha", float32(1))
	g.add("blk.0.attn_q.weight.lora_a", make([]float32, dim*rank), dim, rank)
	g.add("blk.0.attn_q.weight.lora_b", make([]float32, rank*dim), rank, dim)
	return g.bytes(), nil
}

// vocabulary returns the tokens of the model, and which follows which.
func (s Script) vocabulary() (vocabulary, map[int]int, error) {
	v := vocabulary{known: map[string]bool{}}
	v.add("<unk>", 0, unknown)
	v.add("<s>", 0, control)
	v.add("</s>", 0, control)
	for i := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", i), 0, aByte)
	}
	for c := '!'; c <= '~'; c++ {
		v.add(string(c), -1, normal)
	}
	v.add("\u2581", -1, normal)
	next := map[int]int{}
	for d, dialogue := range s.dialogues() {
		for i, turn := range dialogue.turns {
			last := v.add(marker(d, i), 0, control)
			for _, piece := range turn {
				tokens := v.piece(piece)
				if tokens == nil {
					return v, nil, fmt.Errorf("turn %d of the dialogue %q says %q, which is empty, one character, or said too often", i, dialogue.begin, piece)
				}
				for _, token := range tokens {
					next[last], last = token, token
				}
			}
			if next[last] = end; s.Endless {
				next[last] = last
			}
		}
	}
	return v, next, nil
}

func (s Script) file(v vocabulary, next map[int]int) *gguf {
	const heads, hidden = 4, 32
	n := len(v.tokens)
	dim := int(aligned(n)) // One direction for each token.
	embedding, output := make([]float32, dim*n), make([]float32, dim*n)
	for token := range n {
		embedding[token*dim+token] = 1
		follows, ok := next[token]
		if !ok {
			follows = end
		}
		output[follows*dim+token] = 1
	}
	ones := make([]float32, dim)
	for i := range ones {
		ones[i] = 1
	}
	g := &gguf{}
	g.set("general.architecture", "llama")
	g.set("general.name", "mainstay-script")
	g.set("general.file_type", uint32(0))
	g.set("llama.block_count", uint32(1))
	g.set("llama.context_length", uint32(4096))
	g.set("llama.embedding_length", uint32(dim))
	g.set("llama.feed_forward_length", uint32(hidden))
	g.set("llama.attention.head_count", uint32(heads))
	g.set("llama.attention.head_count_kv", uint32(heads))
	g.set("llama.attention.layer_norm_rms_epsilon", float32(1e-5))
	g.set("llama.rope.dimension_count", uint32(dim/heads))
	g.set("llama.rope.freq_base", float32(10000))
	g.set("llama.vocab_size", uint32(n))
	g.set("tokenizer.ggml.model", "llama")
	g.set("tokenizer.ggml.tokens", v.tokens)
	g.set("tokenizer.ggml.scores", v.scores)
	g.set("tokenizer.ggml.token_type", v.types)
	g.set("tokenizer.ggml.bos_token_id", uint32(begin))
	g.set("tokenizer.ggml.eos_token_id", uint32(end))
	g.set("tokenizer.ggml.unknown_token_id", uint32(0))
	g.set("tokenizer.ggml.add_bos_token", true)
	g.set("tokenizer.ggml.add_eos_token", false)
	g.set("tokenizer.ggml.add_space_prefix", false)
	d, h := uint64(dim), uint64(hidden)
	g.add("token_embd.weight", embedding, d, uint64(n))
	g.add("output_norm.weight", ones, d)
	g.add("output.weight", output, d, uint64(n))
	for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
		g.add("blk.0."+name+".weight", make([]float32, dim*dim), d, d)
	}
	g.add("blk.0.attn_norm.weight", ones, d)
	g.add("blk.0.ffn_norm.weight", ones, d)
	g.add("blk.0.ffn_gate.weight", make([]float32, dim*hidden), d, h)
	g.add("blk.0.ffn_up.weight", make([]float32, dim*hidden), d, h)
	g.add("blk.0.ffn_down.weight", make([]float32, dim*hidden), h, d)
	return g
}

func marker(dialogue, turn int) string { return fmt.Sprintf("<|%d-%d|>", dialogue, turn) }

// Template is the template of the model's Modelfile. It counts the model's answers, in letters, and writes the token of that turn.
func (s Script) Template() string {
	var t strings.Builder
	t.WriteString(`{{- $turn := "" }}{{ $begin := "" }}{{ range .Messages }}{{ if and (eq .Role "user") (not $begin) }}{{ $begin = .Content }}{{ end }}`)
	if s.Reads {
		t.WriteString(`{{ .Role }}: {{ .Content }}{{ "\n" }}`)
	}
	t.WriteString(`{{ if eq .Role "assistant" }}{{ $turn = print $turn "x" }}{{ end }}`)
	// Ollama learns from these what the model can do. They write nothing, for no message has such a role.
	t.WriteString(`{{ if eq .Role "nobody" }}`)
	if s.Tools {
		t.WriteString(`{{ $.Tools }}{{ if .ToolCalls }}` + toolCall + `{{ range .ToolCalls }}{"name":"{{ .Function.Name }}","arguments":{{ .Function.Arguments }}}{{ end }}{{ end }}`)
	}
	if s.Thinks {
		t.WriteString(`{{ if .Thinking }}` + Think + `{{ .Thinking }}` + Thought + `{{ end }}`)
	}
	t.WriteString(`{{ end }}{{ end }}{{ $n := len $turn }}`)
	all := s.dialogues()
	for d, dialogue := range all[1:] {
		fmt.Fprintf(&t, `{{ if %s }}`, same("$begin", dialogue.begin))
		writeTurns(&t, d+1, len(dialogue.turns))
		t.WriteString(`{{ else }}`)
	}
	writeTurns(&t, 0, len(s.Turns))
	t.WriteString(strings.Repeat(`{{ end }}`, len(all)-1))
	return t.String()
}

// same is the condition that a variable is a text, but for [Any].
func same(variable, text string) string {
	all := []string{fmt.Sprintf("(eq (len %s) %d)", variable, len(text))}
	at := 0
	for part := range strings.SplitSeq(text, Any) {
		if part != "" {
			all = append(all, fmt.Sprintf("(eq (slice %s %d %d) %q)", variable, at, at+len(part), part))
		}
		at += len(part) + len(Any)
	}
	return "and " + strings.Join(all, " ")
}

// writeTurns writes the token of the turn that $n counts.
func writeTurns(t *strings.Builder, dialogue, turns int) {
	for i := range turns {
		is := "eq"
		if i == turns-1 {
			is = "ge"
		}
		fmt.Fprintf(t, `{{ if %s $n %d }}%s{{ end }}`, is, i, marker(dialogue, i))
	}
}

// Modelfile is the Modelfile beside the file of [Script.GGUF], whose name is given.
func (s Script) Modelfile(file string) string {
	return "FROM ./" + file + "\nTEMPLATE \"\"\"" + s.Template() + "\"\"\"\nPARAMETER temperature 0\nPARAMETER num_ctx 1024\nPARAMETER num_thread 1\n"
}
