package spec

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// Rules are what must hold for one field of a kind, whatever else the resource says. The written form carries them in the
// struct tags `check` and `hint`, so that the loader, the JSON Schemas and `mainstay explain` cannot disagree. A check is
// a list of these, with commas between them:
//
//	required         the field is there, and neither null nor empty
//	default=VALUE    what holds where it is not set; of documentation alone, the resolving code applies it
//	min=N, max=N     of a number its value, of a duration its length, of a list or map how many items it has, of a text
//	                 how many characters
//	enum=A|B         the values that a text, or each text of a list, can have
//	pattern=NAME     the text, or each text of a list, matches the pattern of this name; see [Patterns]
//	later            the field is checked, and not reconciled by this version
//	bare             a text in place of the whole map of fields is this field
type Rules struct {
	// Name is the field as it is written.
	Name string
	// Required, Later, Bare, Default, Enum and Pattern are as written in the tag.
	Required bool
	Later    bool
	Bare     bool
	Default  string
	Enum     []string
	Pattern  string
	// Min and Max are the bounds as they are written; "" means none.
	Min, Max string
	// Hint says what to write. It is shown where a required field is missing.
	Hint string

	// Index leads to the field in its struct, as reflect.Value.FieldByIndex takes it.
	Index []int

	quoted   string
	min, max float64
	kind     reflect.Kind
	duration bool
}

// Pattern is a form that texts in more than one field have.
type Pattern struct {
	// Regexp is in the syntax that RE2 and ECMA 262 share, and is anchored.
	Regexp string
	// Most is how many characters the text may have; 0 means that the pattern alone bounds it.
	Most int
	// Noun and Hint say what the text should be: `"X" is not <noun> (<hint>)`.
	Noun, Hint string
	// Private says that the text is not shown where it is wrong, since it may hold a credential.
	Private bool

	once     sync.Once
	compiled *regexp.Regexp
}

// Patterns are the forms that `pattern=` names.
var Patterns = map[string]*Pattern{
	"person": {Regexp: `^(\*|[^\s<>@*]+)@[^\s<>@*]+$`, Most: 254, Noun: "the address of a person", Hint: "write ada@example.com, or *@example.com for a domain"},
	"commit": {Regexp: `^[0-9a-f]{40}$`, Noun: "the id of a commit", Hint: "write all 40 hexadecimal characters, as git rev-parse prints them"},
	"digest": {Regexp: `^sha256:[0-9a-f]{64}$`, Noun: "a digest", Hint: "it is sha256: and 64 hexadecimal characters"},
	"name": {Regexp: `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`, Most: MaxName, Noun: "a name",
		Hint: "use up to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit"},
	"executable": {Regexp: `^([A-Za-z0-9_][A-Za-z0-9._+@-]*|(/\.?[A-Za-z0-9_+@-][A-Za-z0-9._+@-]*)+)$`, Most: 1024, Noun: "an executable",
		Hint: "write a name that is looked up in the PATH of mainstay, such as jq, or an absolute path such as /usr/bin/jq"},
	"header": {Regexp: `^[A-Za-z0-9!#$%&'*+.^_|~-]+$`, Most: 256, Noun: "the name of an HTTP header", Hint: "write it as X-Api-Version"},
	"key":    {Regexp: `^[0-9a-f]{16}$`, Noun: "the key of a proposal", Hint: "it is 16 lower-case hexadecimal characters"},
	"owner": {Regexp: `^(@[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|[^\s@#]+@[^\s@#]+)$`, Most: 256, Noun: "the name of a code owner",
		Hint: "write it as CODEOWNERS does: @user, @org/team or an email address"},
	"repository": {Regexp: `^(https?://[^\s/?#@]+(/\S*)?|ssh://\S+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:\S+)$`, Most: 2048, Private: true,
		Noun: "the URL of a Git repository without a password", Hint: "write it as https://example.com/path.git or git@example.com:path.git"},
	"revision": {Regexp: `^[^@\s]+@sha1:[0-9a-f]{40}$`, Noun: "a revision", Hint: "it is a branch and a commit, such as main@sha1: and 40 hexadecimal characters"},
	"runtime": {Regexp: `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?|(/\.?[A-Za-z0-9_+@-][A-Za-z0-9._+@-]*)+)$`, Most: 1024, Noun: "a runtime",
		Hint: "write NAME for the executable mainstay-NAME beside mainstay, or an absolute path such as /opt/agents/triage"},
	"subdomain": {Regexp: `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`, Most: 253, Noun: "the name of a Kubernetes Secret",
		Hint: "it is lower-case letters, digits, hyphens and dots, as RFC 1123 has it"},
	"datakey": {Regexp: `^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$`, Most: 253, Noun: "a key of a Kubernetes Secret",
		Hint: "it is letters, digits, hyphens, underscores and dots"},
	"url": {Regexp: `^https?://([^\s/?#@:\[\]{}|\\^%]+|\[[0-9A-Fa-f:.]+(%25[0-9A-Za-z._~-]+)?\])(:[0-9]{1,5})?([/?#]([^\s%]|%[0-9A-Fa-f]{2})*)?$`, Most: 2048, Private: true, Noun: "a URL of http or https without a user and password",
		Hint: "write it as https://example.com/path; a credential is given by reference"},
	"variable": {Regexp: `^[A-Za-z_][A-Za-z0-9_]*$`, Most: 256, Private: true, Noun: "the name of a variable", Hint: "use letters, digits and underscores, and begin with no digit"},
}

func (p *Pattern) matches(text string) bool {
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.Regexp) }) // Not at start-up, which has no use for it.
	return (p.Most == 0 || utf8.RuneCountInString(text) <= p.Most) && p.compiled.MatchString(text)
}

// shape is what is known of a struct of the written form.
type shape struct {
	fields   []Rules
	names    []string
	byName   map[string]int
	required []int
	// bare is the field that a text in place of the struct is, or nil.
	bare *Rules
}

var shapes sync.Map // reflect.Type to *shape

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{byName: map[string]int{}}
	for _, rules := range RulesOf(t) {
		if rules.Required {
			s.required = append(s.required, len(s.fields))
		}
		s.byName[rules.Name] = len(s.fields)
		s.names = append(s.names, rules.Name)
		s.fields = append(s.fields, rules)
	}
	for i := range s.fields {
		if s.fields[i].Bare {
			s.bare = &s.fields[i]
		}
	}
	known, _ := shapes.LoadOrStore(t, s)
	return known.(*shape)
}

// meant says which field may be meant by a name that none has.
func (s *shape) meant(name string) string {
	if _, ok := s.byName["from"]; ok && slices.Contains([]string{"fromEnv", "valueFrom", "env"}, name) {
		return "write from: {env: NAME}, or file, sops or kubernetes instead of env"
	}
	return near.Hint(name, s.names, "known are "+strings.Join(s.names, ", "))
}

// RulesOf returns the rules of all fields of a struct of the written form, with those of embedded structs among them, in
// the order of the source. It panics where the tags make no sense, which a test finds.
func RulesOf(t reflect.Type) []Rules {
	var all []Rules
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Tag.Get("json") == "" {
			for _, r := range RulesOf(f.Type) {
				r.Index = append([]int{i}, r.Index...)
				all = append(all, r)
			}
			continue
		}
		all = append(all, rulesOf(f))
	}
	return all
}

func rulesOf(f reflect.StructField) Rules {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	r := Rules{Name: name, Hint: f.Tag.Get("hint"), Index: f.Index, quoted: strconv.Quote(name),
		kind: f.Type.Kind(), duration: f.Type == durationType}
	for check := range strings.SplitSeq(f.Tag.Get("check"), ",") {
		key, value, _ := strings.Cut(check, "=")
		switch key {
		case "":
		case "required":
			r.Required = true
		case "later":
			r.Later = true
		case "bare":
			r.Bare = true
		case "default":
			r.Default = value
		case "enum":
			r.Enum = strings.Split(value, "|")
		case "pattern":
			if Patterns[value] == nil {
				panic("spec: " + f.Name + " has an unknown pattern " + value)
			}
			r.Pattern = value
		case "min":
			r.Min, r.min = value, bound(f, value)
		case "max":
			r.Max, r.max = value, bound(f, value)
		default:
			panic("spec: " + f.Name + " has an unknown check " + key)
		}
	}
	return r
}

// bound reads one bound of a field: a duration where the field is one, and else a number.
func bound(f reflect.StructField, value string) float64 {
	if f.Type == durationType {
		if d, err := time.ParseDuration(value); err == nil {
			return float64(d)
		}
	} else if n, err := strconv.ParseFloat(value, 64); err == nil {
		return n
	}
	panic("spec: " + f.Name + " has the bound " + value)
}

// check reports where a value that is there is not as the field's rules say. A value of the wrong type has been reported.
func (d *decoder) check(n *node, r *Rules, what string) {
	if r.Required && (n.value == "" || n.kind != scalarNode && len(n.items)+len(n.fields) == 0) {
		d.report(n.place(), what+" is empty", r.Hint)
		return
	}
	texts := []*node{n}
	if n.kind == listNode {
		texts = n.items
	}
	for _, item := range texts {
		if !d.checkText(item, r, what) {
			return
		}
	}
	if r.Min != "" || r.Max != "" {
		d.bounds(n, r, what)
	}
}

// checkText reports a text that the field cannot have.
func (d *decoder) checkText(n *node, r *Rules, what string) bool {
	text, isText := n.value.(string)
	switch {
	case !isText:
	case len(r.Enum) > 0 && !slices.Contains(r.Enum, text):
		known := "known are " + strings.Join(r.Enum, ", ")
		d.report(n.place(), fmt.Sprintf("%s cannot be %q", what, shorten(text, 60)), near.Hint(text, r.Enum, known))
		return false
	case r.Pattern != "" && !Patterns[r.Pattern].matches(text):
		p := Patterns[r.Pattern]
		shown := strconv.Quote(shorten(text, 80))
		if p.Private {
			shown = what
		}
		d.report(n.place(), shown+" is not "+p.Noun, p.Hint)
		return false
	}
	return true
}

// bounds reports a value that is too small or too large.
func (d *decoder) bounds(n *node, r *Rules, what string) {
	var size float64
	var is, unit string
	switch v := n.value.(type) {
	case int64, float64:
		if r.kind != reflect.Int && r.kind != reflect.Float64 {
			return
		}
		size, _ = strconv.ParseFloat(fmt.Sprint(v), 64)
		is = n.written
	case string:
		switch {
		case r.duration:
			parsed, err := ParseDuration(v)
			if err != nil {
				return
			}
			size, is = float64(parsed), parsed.String()
		case r.kind == reflect.String:
			size, unit = float64(utf8.RuneCountInString(v)), " characters"
			is = fmt.Sprintf("%.0f characters long", size)
		default:
			return
		}
	default:
		items := map[nodeKind]string{listNode: "a list of", objectNode: "a map of"}[n.kind]
		if items == "" {
			return
		}
		size, unit = float64(len(n.items)+len(n.fields)), " items"
		is = fmt.Sprintf("%s %.0f items", items, size)
	}
	if (r.Min == "" || size >= r.min) && (r.Max == "" || size <= r.max) {
		return
	}
	switch {
	case size == 0 && (n.kind == listNode || n.kind == objectNode):
		d.report(n.place(), what+" is empty", r.Hint)
	case r.Min == r.Max:
		d.report(n.place(), fmt.Sprintf("%s is %s, and not %s%s", what, is, r.Min, unit), r.Hint)
	case r.Min == "":
		d.report(n.place(), fmt.Sprintf("%s is %s, and more than %s%s", what, is, r.Max, unit), r.Hint)
	case r.Max == "":
		d.report(n.place(), fmt.Sprintf("%s is %s, and less than %s%s", what, is, r.Min, unit), r.Hint)
	default:
		d.report(n.place(), fmt.Sprintf("%s is %s, and not between %s and %s%s", what, is, r.Min, r.Max, unit), r.Hint)
	}
}
