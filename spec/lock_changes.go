package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"
)

// The bounds of what is shown of a change. What a tool server says may be as long as it likes.
const (
	maxShownText  = 400 // characters of a text
	maxShownWords = 400 // words that are compared
	contextWords  = 12  // words and blanks around a change
	// MaxShownChanges is how many changes a message lists. It says how many more there are.
	MaxShownChanges = 8
)

// The ways in which something differs from a lock.
const (
	LockAdded   = "added"
	LockRemoved = "removed"
	LockChanged = "changed"
)

// LockChange is one difference between two locks, or between a lock and what runs.
type LockChange struct {
	// Resource is the ToolServer, Model or Runtime.
	Resource Ref `json:"resource"`
	// Tool is set for a tool server.
	Tool string `json:"tool,omitempty"`
	// Field is what differs, such as `description` or `inputSchema.properties.name.type`. It is empty where all of a tool is
	// added or removed.
	Field string `json:"field,omitempty"`
	// Change is LockAdded, LockRemoved or LockChanged.
	Change string `json:"change"`
	// From and To are what a server said before and after, to the letter: a description, or what became of one text within
	// a schema, as the text that it is, and all else of a schema as JSON.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String returns the change in one line that is safe to show. Within a text [-this-] was removed and {+this+} added, as in
// git diff --word-diff.
func (c LockChange) String() string {
	at := shown(strings.Join(slices.DeleteFunc([]string{c.Tool, c.Field}, func(s string) bool { return s == "" }), " "))
	switch c.Change {
	case LockAdded:
		return fmt.Sprintf("%s: added: %s", at, shown(c.To))
	case LockRemoved:
		return fmt.Sprintf("%s: removed: %s", at, shown(c.From))
	}
	return fmt.Sprintf("%s: %s", at, c.Words())
}

// Words returns what became of the text, word by word and in one line that is safe to show, as in [LockChange.String].
func (c LockChange) Words() string { return wordDiff(c.From, c.To) }

// Changes lists what differs from k in other, sorted. Nil is a lock that pins nothing.
func (k *Lock) Changes(other *Lock) []LockChange {
	if k == nil {
		k = &Lock{}
	}
	var all []LockChange
	for _, name := range names(union(k.Models, other.Models)) {
		was, is := k.Models[name].Digest, other.Models[name].Digest
		if was != is {
			all = append(all, LockChange{Resource: Ref{KindModel, name}, Field: "digest", Change: kindOfChange(was != "", is != ""), From: string(was), To: string(is)})
		}
	}
	for _, name := range names(union(k.Runtimes, other.Runtimes)) {
		before, after := k.Runtimes[name], other.Runtimes[name]
		for _, platform := range names(union(before, after)) {
			was, is := before[platform], after[platform]
			if was != is {
				all = append(all, LockChange{Resource: Ref{KindRuntime, name}, Field: platform, Change: kindOfChange(was != "", is != ""), From: string(was), To: string(is)})
			}
		}
	}
	for _, name := range names(union(k.Servers, other.Servers)) {
		before, after := k.Servers[name].Tools, other.Servers[name].Tools
		for _, tool := range names(union(before, after)) {
			was, had := before[tool]
			is, has := after[tool]
			if had && has {
				all = append(all, was.Changes(name, tool, is)...)
			} else {
				all = append(all, LockChange{Resource: Ref{KindToolServer, name}, Tool: tool, Change: kindOfChange(had, has), From: was.Description, To: is.Description})
			}
		}
	}
	return all
}

// Changes lists what differs from p in other, for a tool of a server. There is nothing exactly where the two are the same.
func (p ToolPin) Changes(server, tool string, other ToolPin) []LockChange {
	var all []LockChange
	add := func(field, change, from, to string) {
		all = append(all, LockChange{Resource: Ref{KindToolServer, server}, Tool: tool, Field: field, Change: change, From: from, To: to})
	}
	for _, hint := range names(union(p.Annotations, other.Annotations)) {
		was, had := p.Annotations[hint]
		is, has := other.Annotations[hint]
		if had != has || was != is {
			text := func(value, set bool) string {
				if !set {
					return ""
				}
				return fmt.Sprint(value)
			}
			add("annotations."+hint, kindOfChange(had, has), text(was, had), text(is, has))
		}
	}
	if p.Description != other.Description {
		add("description", LockChanged, p.Description, other.Description)
	}
	if p.InputSchema != other.InputSchema {
		found := len(all)
		schemaChanges("inputSchema", parsedSchema(p.InputSchema), parsedSchema(other.InputSchema), add)
		if len(all) == found { // One of them is in no canonical form.
			add("inputSchema", LockChanged, p.InputSchema, other.InputSchema)
		}
	}
	return all
}

func union[V any](a, b map[string]V) map[string]V {
	all := make(map[string]V, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func kindOfChange(had, has bool) string {
	switch {
	case !had:
		return LockAdded
	case !has:
		return LockRemoved
	}
	return LockChanged
}

// parsedSchema is a schema as a tree; its numbers keep their digits.
func parsedSchema(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	_ = decoder.Decode(&value) // It is JSON, or nothing.
	return value
}

// schemaChanges walks two trees and tells of the smallest parts that differ.
func schemaChanges(at string, was, is any, add func(field, change, from, to string)) {
	before, ok := was.(map[string]any)
	after, both := is.(map[string]any)
	if !ok || !both {
		from, to := jsonText(was), jsonText(is)
		if from == to {
			return
		}
		if a, ok := was.(string); ok {
			if b, both := is.(string); both { // Told word by word, which needs no quotes.
				from, to = a, b
			}
		}
		add(at, LockChanged, from, to)
		return
	}
	for _, key := range names(union(before, after)) {
		from, had := before[key]
		to, has := after[key]
		switch field := at + "." + key; {
		case had && has:
			schemaChanges(field, from, to, add)
		case had:
			add(field, LockRemoved, jsonText(from), "")
		default:
			add(field, LockAdded, "", jsonText(to))
		}
	}
}

// jsonText is a value as JSON in its canonical form.
func jsonText(value any) string {
	raw, err := Canonical(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

// shown is a text in one line, cut where it is long.
func shown(text string) string {
	text = Escaped(text)
	if n := utf8.RuneCountInString(text); n > maxShownText {
		return fmt.Sprintf("%s… (and %d more characters)", string([]rune(text)[:maxShownText]), n-maxShownText)
	}
	return text
}

// marks keeps a text from posing as what was removed or added.
var marks = strings.NewReplacer("[-", `[\-`, "-]", `-\]`, "{+", `{\+`, "+}", `+\}`)

// wordDiff shows what became of a text, word by word, with a few words around each change.
func wordDiff(from, to string) string {
	a, b := words(from), words(to)
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	tail := 0
	for tail < len(a)-same && tail < len(b)-same && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out strings.Builder
	old, inserted := a[same:len(a)-tail], b[same:len(b)-tail]
	out.WriteString(context(a[:same], false, true))
	if len(old) > maxShownWords || len(inserted) > maxShownWords {
		out.WriteString(marked("[-", old, "-]") + marked("{+", inserted, "+}"))
	} else {
		for _, op := range difflib.NewMatcher(old, inserted).GetOpCodes() {
			if op.Tag == 'e' {
				out.WriteString(context(old[op.I1:op.I2], true, true))
				continue
			}
			out.WriteString(marked("[-", old[op.I1:op.I2], "-]") + marked("{+", inserted[op.J1:op.J2], "+}"))
		}
	}
	out.WriteString(context(a[len(a)-tail:], true, false))
	return out.String()
}

// words cuts a text into words and the blanks between them.
func words(text string) []string {
	var all []string
	start, blank := 0, false
	for i, r := range text {
		if is := unicode.IsSpace(r); i == 0 || is != blank {
			if i > 0 {
				all = append(all, text[start:i])
			}
			start, blank = i, is
		}
	}
	if text != "" {
		all = append(all, text[start:])
	}
	return all
}

func marked(open string, words []string, end string) string {
	if len(words) == 0 {
		return ""
	}
	return open + marks.Replace(shown(strings.Join(words, ""))) + end
}

// context shows words that are the same, without those that are far from a change: one before them, or after them, or both.
func context(words []string, before, after bool) string {
	keep := 0
	if before {
		keep += contextWords
	}
	if after {
		keep += contextWords
	}
	if len(words) <= keep+1 {
		return marks.Replace(shown(strings.Join(words, "")))
	}
	var text string
	if before {
		text = marks.Replace(shown(strings.Join(words[:contextWords], "")))
	}
	text += "…"
	if after {
		text += marks.Replace(shown(strings.Join(words[len(words)-contextWords:], "")))
	}
	return text
}

// LockMismatch is the error for what is something else than its lock says.
type LockMismatch struct {
	Resource Ref
	// File is the lock, from the folder that holds mainstay.yaml.
	File string
	// Changes are what has changed. Empty means that it is not pinned at all; Unpinned then names what is not.
	Changes  []LockChange
	Unpinned []string
}

// Error says in one line what has changed, word by word, and which command accepts it.
func (m *LockMismatch) Error() string {
	var parts []string
	for _, c := range m.Changes {
		parts = append(parts, c.String())
	}
	for _, name := range m.Unpinned {
		parts = append(parts, Escaped(name)+": not pinned")
	}
	if more := len(parts) - MaxShownChanges; more > 0 {
		parts = append(parts[:MaxShownChanges], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s is not what %s pins, and is refused until you run `%s` and commit the result: %s", Escaped(m.Resource.String()), Escaped(m.File), Escaped(LockCommand(m.File)), strings.Join(parts, "; "))
}
