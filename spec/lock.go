package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
)

// LockFile is the name of the file beside mainstay.yaml that pins what lies outside of the commit. An environment may
// have one of its own, in overlays/ENV, which then takes that one's place.
const LockFile = "mainstay.lock"

const (
	lockKind = "Lock"
	lockHint = "it is made by `mainstay lock`: run that, and commit what it writes"
	// maxLock is the largest lock file that is read, in bytes.
	maxLock = 8 << 20
	// maxSaid is how much a server may say of one tool, in bytes of its description and of its schema.
	maxSaid = 256 << 10
)

// Lock is what a mainstay.lock pins. `mainstay lock` makes it, and what runs is compared with it: what has changed since is
// refused until a commit changes the lock.
type Lock struct {
	// File is where the lock was read, from the folder that holds mainstay.yaml.
	File string
	// Models are pinned where their server tells a digest, by the Model's name.
	Models map[string]ModelPin
	// Runtimes are those that agents name and that do not come with Mainstay, by name.
	Runtimes map[string]RuntimePin
	// Servers are the ToolServers, by name.
	Servers map[string]ServerPin
}

// ModelPin is a model as its server had it.
type ModelPin struct {
	// Digest is that of the model's manifest.
	Digest Digest `json:"digest" check:"required,pattern=digest"`
}

// KindRuntime stands for a runtime in a [Ref]. It is no kind that a file can declare.
const KindRuntime Kind = "Runtime"

// RuntimePin are the digests of a runtime's executable, by platform as Go writes it: `linux/amd64`.
type RuntimePin map[string]Digest

// ServerPin is what a tool server said of the tools that agents may call, by their names.
type ServerPin struct {
	Tools map[string]ToolPin
}

// ToolPin is what a tool server says of one tool. Two of them are the same if all fields are.
type ToolPin struct {
	// Description is what models are told that the tool does.
	Description string
	// InputSchema is a JSON Schema of the arguments, in the form of [Canonical].
	InputSchema string
	// Annotations are the hints on what the tool does to the world that are set: readOnlyHint, destructiveHint,
	// idempotentHint and openWorldHint.
	Annotations map[string]bool
}

// NewLock returns a lock that pins nothing.
func NewLock(file string) *Lock {
	return &Lock{File: file, Models: map[string]ModelPin{}, Runtimes: map[string]RuntimePin{}, Servers: map[string]ServerPin{}}
}

// Empty reports whether the lock pins nothing.
func (k *Lock) Empty() bool { return len(k.Models)+len(k.Runtimes)+len(k.Servers) == 0 }

// NewToolPin pins what a server says of a tool. An error means that it is more than a person could review, or that the
// schema is no JSON.
func NewToolPin(description string, schema json.RawMessage, annotations map[string]bool) (ToolPin, error) {
	switch {
	case len(description) > maxSaid:
		return ToolPin{}, fmt.Errorf("the description is longer than %d KiB", maxSaid>>10)
	case len(schema) > maxSaid:
		return ToolPin{}, fmt.Errorf("the input schema is longer than %d KiB", maxSaid>>10)
	case depth(schema) > maxDepth:
		return ToolPin{}, fmt.Errorf("the input schema is nested deeper than %d levels", maxDepth)
	}
	raw, err := Canonical(schema)
	if err != nil {
		return ToolPin{}, fmt.Errorf("the input schema is no JSON: %w", err)
	}
	return ToolPin{Description: strings.ToValidUTF8(description, "\uFFFD"), InputSchema: string(raw), Annotations: annotations}, nil
}

// depth is how deep the objects and lists of JSON are nested.
func depth(raw []byte) int {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	now, most := 0, 0
	for {
		token, err := decoder.Token()
		if err != nil {
			return most
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

// Same reports whether two pins are the same.
func (p ToolPin) Same(other ToolPin) bool {
	return p.Description == other.Description && p.InputSchema == other.InputSchema && maps.Equal(p.Annotations, other.Annotations)
}

// ParseLock reads a lock file. name is for the places of problems. There is a Lock where there is no error. It is an error if
// the file holds what its reviewer does not see: a character that is not shown and no escape, or a key of a schema twice.
func ParseLock(name string, raw []byte) (*Lock, Problems) {
	l := &loader{}
	if len(raw) > maxLock {
		l.errorAt(Place{File: name}, "declare fewer tools", "the file is larger than %d KiB", maxLock>>10)
		return nil, l.problems
	}
	f := l.asText(name, raw)
	if f == nil {
		return nil, l.problems
	}
	read := l.parseLock(f)
	l.problems.sort()
	if read == nil {
		return nil, l.problems
	}
	return read.Lock, l.problems
}

// LockCommand is the command that makes the lock at a path from the folder that holds mainstay.yaml.
func LockCommand(file string) string {
	if env, ok := strings.CutPrefix(path.Dir(file), "overlays/"); ok {
		return "mainstay lock --env " + env
	}
	return "mainstay lock"
}

// lockFile is a lock as it was read.
type lockFile struct {
	*Lock
	top *node
}

// writtenLock is the written form of a lock.
type writtenLock struct {
	APIVersion string                      `json:"apiVersion" check:"required"`
	Kind       string                      `json:"kind" check:"required"`
	Models     map[string]ModelPin         `json:"models"`
	Runtimes   map[string]RuntimePin       `json:"runtimes"`
	Servers    map[string]writtenServerPin `json:"servers"`
}

type writtenServerPin struct {
	Tools map[string]writtenToolPin `json:"tools" check:"required"`
}

type writtenToolPin struct {
	Description string          `json:"description"`
	InputSchema string          `json:"inputSchema" check:"required"`
	Annotations map[string]bool `json:"annotations"`
}

// parseLock reads a lock, or reports what is wrong with it and returns nil.
func (l *loader) parseLock(f *file) *lockFile {
	before := len(l.problems) + l.more
	l.checkLockForm(f)
	nodes, err := parseYAML(f, f.text, 0)
	switch {
	case err != nil:
		bad := err.(*parseError)
		l.errorAt(Place{File: f.path, Line: bad.line, Column: bad.column}, lockHint, "%s", bad.summary)
		return nil
	case len(nodes) != 1 || nodes[0].kind != objectNode:
		l.errorAt(Place{File: f.path}, lockHint, "the file holds no lock")
		return nil
	}
	top := nodes[0]
	if version, _ := top.at("apiVersion").value.(string); top.has("apiVersion") && version != APIVersion {
		l.error(top.at("apiVersion"), "this version reads "+APIVersion+"; `mainstay lock` writes the file anew", "unknown apiVersion %q", shorten(version, 60))
		return nil
	}
	if kind, _ := top.at("kind").value.(string); top.has("kind") && kind != lockKind {
		l.error(top.at("kind"), lockHint, "a %s is of kind: %s", LockFile, lockKind)
		return nil
	}
	var written writtenLock
	strict := &decoder{report: func(p Place, summary, _ string) { l.errorAt(p, lockHint, "%s", summary) }}
	strict.decode(top, reflect.ValueOf(&written).Elem(), "a lock")
	l.checkLockNames(top, &written)
	lock := NewLock(f.path)
	if written.Models != nil {
		lock.Models = written.Models
	}
	for name, pin := range written.Runtimes {
		for platform, digest := range pin {
			if !digest.Valid() {
				l.error(top.at("runtimes", name, platform), lockHint, "%q is not a digest", shorten(string(digest), 80))
			}
		}
		if lock.Runtimes[name] = pin; pin == nil {
			lock.Runtimes[name] = RuntimePin{}
		}
	}
	for name, server := range written.Servers {
		pin := ServerPin{Tools: map[string]ToolPin{}}
		for tool, w := range server.Tools {
			p := ToolPin{Description: w.Description, Annotations: w.Annotations}
			p.InputSchema = l.lockedSchema(top.at("servers", name, "tools", tool, "inputSchema"), tool, w.InputSchema)
			pin.Tools[tool] = p
		}
		lock.Servers[name] = pin
	}
	if len(l.problems)+l.more > before {
		return nil
	}
	return &lockFile{Lock: lock, top: top}
}

// lockHeader opens every lock file.
const lockHeader = "# Made by mainstay lock, which also tells what has changed. Commit it; do not edit it. What it pins is refused where\n" +
	"# it is something else by now.\n"

// Format writes the lock as a file: sorted, the same bytes for the same lock, and with every character that cannot be seen
// written as an escape, so that a reviewer sees all of it.
func (k *Lock) Format() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sapiVersion: %s\nkind: %s\n", lockHeader, APIVersion, lockKind)
	if len(k.Models) > 0 {
		b.WriteString("models:\n")
		for _, name := range names(k.Models) {
			fmt.Fprintf(&b, "  %s:\n    digest: %s\n", yamlKey(name), k.Models[name].Digest)
		}
	}
	if len(k.Runtimes) > 0 {
		b.WriteString("runtimes:\n")
	}
	for _, name := range names(k.Runtimes) {
		fmt.Fprintf(&b, "  %s:\n", yamlKey(name))
		for _, platform := range names(k.Runtimes[name]) {
			fmt.Fprintf(&b, "    %s: %s\n", yamlKey(platform), k.Runtimes[name][platform])
		}
	}
	if len(k.Servers) > 0 {
		b.WriteString("servers:\n")
	}
	for _, name := range names(k.Servers) {
		fmt.Fprintf(&b, "  %s:\n    tools:\n", yamlKey(name))
		tools := k.Servers[name].Tools
		for _, tool := range names(tools) {
			tools[tool].format(&b, tool)
		}
	}
	return b.Bytes()
}

func (p ToolPin) format(b *bytes.Buffer, name string) {
	const indent = "        "
	fmt.Fprintf(b, "      %s:\n", yamlKey(name))
	if len(p.Annotations) > 0 {
		fmt.Fprintf(b, "%sannotations:\n", indent)
		for _, hint := range names(p.Annotations) {
			fmt.Fprintf(b, "%s  %s: %t\n", indent, yamlKey(hint), p.Annotations[hint])
		}
	}
	if p.Description != "" {
		fmt.Fprintf(b, "%sdescription: %s\n", indent, yamlText(p.Description, indent+"  "))
	}
	var schema bytes.Buffer
	_ = json.Indent(&schema, []byte(p.InputSchema), "", "  ") // It is JSON, since it was made of it.
	fmt.Fprintf(b, "%sinputSchema: %s\n", indent, yamlText(EscapedJSON(schema.String()), indent+"  "))
}

// yamlKey is a key as YAML takes it, in quotes where it could be taken for something else than text.
func yamlKey(name string) string {
	plain := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '/'
	})
	if !plain || !strings.Contains("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", name[:1]) || slices.Contains(yamlWords, strings.ToLower(name)) {
		return yamlQuoted(name)
	}
	return name
}

// yamlWords mean something else than text, in one version of YAML or another.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// yamlText is a text as YAML takes it: line by line where all of it can be seen, and otherwise in quotes with escapes.
func yamlText(text, indent string) string {
	hidden := strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && unseen(r) })
	if hidden || !strings.Contains(text, "\n") || strings.Trim(text, "\n ") != text {
		return yamlQuoted(text)
	}
	var b strings.Builder
	b.WriteString("|-")
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteByte('\n')
		if line != "" {
			b.WriteString(indent + line)
		}
	}
	return b.String()
}

// yamlQuoted is a text in YAML's double quotes.
func yamlQuoted(text string) string {
	return `"` + Escaped(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)) + `"`
}

// Model returns the pin of a model. A nil lock has none.
func (k *Lock) Model(name string) (pin ModelPin, ok bool) {
	if k == nil {
		return pin, false
	}
	pin, ok = k.Models[name]
	return pin, ok
}

// Runtime returns the digests of a runtime. A nil lock has none.
func (k *Lock) Runtime(name string) RuntimePin {
	if k == nil {
		return nil
	}
	return k.Runtimes[name]
}

// Tools returns the pins of those of a server's tools that are named. A nil lock has none.
func (k *Lock) Tools(server string, names []string) map[string]ToolPin {
	pins := map[string]ToolPin{}
	for _, name := range names {
		if k == nil {
			break
		}
		if pin, ok := k.Servers[server].Tools[name]; ok {
			pins[name] = pin
		}
	}
	return pins
}
