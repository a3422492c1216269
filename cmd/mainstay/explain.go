package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/schemas"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/near"
)

func newExplain() *cobra.Command {
	var recursive bool
	cmd := &cobra.Command{
		Use:   "explain KIND[.FIELD...]",
		Short: "Say what a kind or a field means, its type and its limits",
		Long: "Say what a kind of resource is and which fields it has, or what one of its fields means: Agent, Agent.spec.limits or, for\n" +
			"short, agent.limits.turns.",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := strings.Split(args[0], ".")
			kind, err := findKind(path[0])
			if err != nil {
				return err
			}
			if kind == spec.KindSkill {
				return explainSkill(cmd.OutOrStdout())
			}
			raw, _ := schemas.JSON(string(kind))
			var root schema
			if err := json.Unmarshal(raw, &root); err != nil {
				return err
			}
			at, full, required, err := root.find(kind, path[1:])
			if err != nil {
				return err
			}
			explain(cmd.OutOrStdout(), kind, full, at, required, recursive)
			return nil
		},
	}
	cmd.Flags().BoolVar(&recursive, "recursive", false, "list the fields of the fields too")
	return cmd
}

// schema is what explain reads of a JSON Schema.
type schema struct {
	Type                 any                `json:"type"`
	XType                string             `json:"x-type"`
	Later                bool               `json:"x-later"`
	XMinimum             string             `json:"x-minimum"`
	XMaximum             string             `json:"x-maximum"`
	Description          string             `json:"description"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties any                `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Required             []string           `json:"required"`
	Enum                 []any              `json:"enum"`
	Const                any                `json:"const"`
	Default              any                `json:"default"`
	Pattern              string             `json:"pattern"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MinLength            *float64           `json:"minLength"`
	MaxLength            *float64           `json:"maxLength"`
	MinItems             *float64           `json:"minItems"`
	MaxItems             *float64           `json:"maxItems"`
	MaxProperties        *float64           `json:"maxProperties"`
}

// fields is the schema that holds the fields of a value: its own, that of a list's items, or that of a map's values.
func (s *schema) fields() *schema {
	if s.Items != nil {
		return s.Items.fields()
	}
	if values := s.values(); values != nil {
		return values.fields()
	}
	return s
}

// values is the schema of a map's values, or nil.
func (s *schema) values() *schema {
	if m, ok := s.AdditionalProperties.(map[string]any); ok {
		raw, err := json.Marshal(m)
		var out schema
		if err == nil && json.Unmarshal(raw, &out) == nil {
			return &out
		}
	}
	return nil
}

// position is what picks an item of a list, as in a path of kubectl.
var position = regexp.MustCompile(`\[[^\[\]]*\]`)

// find follows a path of fields. A first field that a resource does not have is one of its spec. What picks an item of a
// list, or a value of a map by its key, may be there, and says nothing.
func (s *schema) find(kind spec.Kind, path []string) (at *schema, full string, required bool, err error) {
	if len(path) > 0 && s.Properties[path[0]] == nil {
		path = append([]string{"spec"}, path...)
	}
	at = s
	var fields []string
	for i, name := range path {
		owner := at.fields()
		name = position.ReplaceAllString(name, "")
		next := owner.Properties[name]
		if next == nil && i > 0 && path[i-1] != "" && at.values() != nil {
			path[i] = "" // Only one key can follow a map.
			continue
		}
		if next == nil {
			names := slices.Sorted(maps.Keys(owner.Properties))
			where := strings.Join(append([]string{string(kind)}, path[:i]...), ".")
			hint := "it has no fields"
			if at.typeName() == "map" {
				hint = "its fields are named by whoever writes it"
			}
			if len(names) > 0 {
				hint = "known are " + strings.Join(names, ", ")
			}
			return nil, "", false, usageError{fmt.Errorf("%s has no field %q; %s", where, name, near.Hint(name, names, hint))}
		}
		at, required = next, slices.Contains(owner.Required, name)
		fields = append(fields, name)
	}
	return at, strings.Join(fields, "."), required, nil
}

// typeName is a type as people know it.
func (s *schema) typeName() string {
	if s.XType != "" {
		return s.XType
	}
	name := "any value"
	switch t := s.Type.(type) {
	case string:
		name = t
	case []any:
		name = fmt.Sprint(t[0])
	default:
		if s.Const != nil || len(s.Enum) > 0 {
			name = "string"
		}
	}
	switch {
	case name == "array" && s.Items != nil:
		return "list of " + s.Items.typeName()
	case name == "object" && len(s.Properties) == 0:
		if values := s.values(); values != nil {
			return "map of " + values.typeName()
		}
		return "map"
	}
	return name
}

const explainWidth = 80

func explain(w io.Writer, kind spec.Kind, path string, s *schema, required, recursive bool) {
	fmt.Fprintf(w, "KIND:     %s\nVERSION:  %s\n", kind, spec.APIVersion)
	if path != "" {
		need := ""
		if required {
			need = " -required-"
		}
		fmt.Fprintf(w, "\nFIELD:    %s <%s>%s\n", path, s.typeName(), need)
	}
	fmt.Fprintf(w, "\nDESCRIPTION:\n%s", wrapped(s.Description, "    "))
	for _, line := range s.facts() {
		fmt.Fprint(w, wrapped(line, "    "))
	}
	if fields := s.fields(); len(fields.Properties) > 0 {
		fmt.Fprint(w, "\nFIELDS:\n")
		listFields(w, fields, "  ", recursive)
	}
}

// facts are the rules of a field, a line each.
func (s *schema) facts() []string {
	var lines []string
	texts := func(values []any) string {
		var all []string
		for _, v := range values {
			if v != nil {
				all = append(all, fmt.Sprint(v))
			}
		}
		return strings.Join(all, ", ")
	}
	enum, pattern := s.Enum, s.Pattern
	if s.Items != nil {
		enum, pattern = append(enum, s.Items.Enum...), pattern+s.Items.Pattern
	}
	if len(enum) > 0 {
		lines = append(lines, "Values: "+texts(enum))
	}
	if s.Default != nil {
		lines = append(lines, "Default: "+number(s.Default))
	}
	switch {
	case s.XMinimum != "" && s.XMaximum != "":
		lines = append(lines, "Limits: "+s.XMinimum+" to "+s.XMaximum)
	case s.XMinimum != "":
		lines = append(lines, "Limits: at least "+s.XMinimum)
	case s.XMaximum != "":
		lines = append(lines, "Limits: at most "+s.XMaximum)
	}
	for _, b := range []struct {
		least, most *float64
		unit        string
	}{{s.Minimum, s.Maximum, ""}, {s.MinLength, s.MaxLength, " characters"}, {s.MinItems, s.MaxItems, " items"}, {nil, s.MaxProperties, " fields"}} {
		switch {
		case b.least != nil && b.most != nil:
			lines = append(lines, "Limits: "+number(*b.least)+" to "+number(*b.most)+b.unit)
		case b.most != nil:
			lines = append(lines, "Limits: at most "+number(*b.most)+b.unit)
		case b.least != nil && *b.least != 1:
			lines = append(lines, "Limits: at least "+number(*b.least)+b.unit)
		}
	}
	if pattern != "" && s.XType == "" {
		lines = append(lines, "Form: "+pattern)
	}
	return lines
}

func number(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func listFields(w io.Writer, s *schema, indent string, recursive bool) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[name]
		marks := ""
		if slices.Contains(s.Required, name) {
			marks = " -required-"
		}
		fmt.Fprintf(w, "%s%s <%s>%s\n", indent, name, f.typeName(), marks)
		if !recursive {
			fmt.Fprint(w, wrapped(f.Description, indent+"  "))
			if facts := f.facts(); len(facts) > 0 {
				fmt.Fprint(w, wrapped(strings.Join(facts, ". ")+".", indent+"  "))
			}
		}
		if inner := f.fields(); recursive && len(inner.Properties) > 0 {
			listFields(w, inner, indent+"  ", true)
		}
	}
}

// wrapped breaks a text into lines that fit a terminal.
func wrapped(text, indent string) string {
	var b strings.Builder
	length := 0
	for _, word := range strings.Fields(text) {
		switch {
		case length == 0:
			b.WriteString(indent)
			length = len(indent)
		case length+1+len([]rune(word)) > explainWidth:
			b.WriteString("\n" + indent)
			length = len(indent)
		default:
			b.WriteString(" ")
			length++
		}
		b.WriteString(word)
		length += len([]rune(word))
	}
	if length > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func explainSkill(w io.Writer) error {
	_, err := io.WriteString(w, `KIND:     Skill

DESCRIPTION:
    A folder skills/NAME or .agents/skills/NAME with a SKILL.md, as the Agent
    Skills specification says (https://agentskills.io/specification). It has no
    manifest. Agents see its description, and read it when they need it.

FIELDS of the front matter of SKILL.md:
  name <string> -required-
    1 to 64 lower-case letters, digits and single hyphens; that of the folder.
  description <string> -required-
    What the skill is for and when to use it: 1 to 1024 characters.
  license <string>
  compatibility <string>
    What it needs around it: at most 500 characters.
  metadata <map of string>
  allowed-tools <string>
    Tools, with spaces between them. Mainstay does not read it: what an agent
    may call its own spec says.
`)
	return err
}
