package format_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/format"
)

// TestFormattingKeepsEverything writes the resources of whole repositories anew, in a random layout with comments in
// random places, and formats that: every value and every comment is still there, each comment above what it was above,
// and no digest has changed, before and after. Actions are left as they are: their digest is that of their bytes.
func TestFormattingKeepsEverything(t *testing.T) {
	for name, root := range repositories() {
		t.Run(name, func(t *testing.T) {
			original := fstest.MapFS{}
			err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				raw, err := fs.ReadFile(root, name)
				original[name] = &fstest.MapFile{Data: raw}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			want := digests(t, original)
			names := files(t, root)
			rapid.Check(t, func(t *rapid.T) {
				messy, formatted := maps.Clone(original), maps.Clone(original)
				for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(t, "files") {
					text, comments := mess(t, name, string(original[name].Data))
					out := formattedIn(t, name, text)
					checkComments(t, text, out, comments)
					messy[name], formatted[name] = &fstest.MapFile{Data: []byte(text)}, &fstest.MapFile{Data: []byte(out)}
				}
				for _, files := range []fstest.MapFS{messy, formatted} {
					if got := digests(t, files); !slices.Equal(got, want) {
						t.Fatalf("the digests were\n%s\nand are\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
					}
				}
			})
		})
	}
}

// fataler is what a test and a property have in common.
type fataler interface {
	Fatalf(format string, args ...any)
}

func digests(t fataler, root fs.FS) []string {
	fleet, problems := spec.Load(root, spec.LoadOptions{})
	if problems.HasErrors() {
		t.Fatalf("%s", problems)
	}
	var all []string
	for _, r := range fleet.Resources {
		all = append(all, fmt.Sprintf("%s %s", r.Ref, r.Digest))
	}
	return all
}

func formattedIn(t *rapid.T, name, text string) string {
	f := new(format.Formatter)
	out, problems, err := f.File(t.Context(), name, []byte(text))
	if err != nil || problems != nil {
		t.Fatalf("%v%v\n%s", problems, err, text)
	}
	again, problems, err := f.File(t.Context(), name, out)
	if err != nil || problems != nil || string(again) != string(out) {
		t.Fatalf("formatted again it is something else: %v%v\n%s\n----\n%s", problems, err, out, again)
	}
	return string(out)
}

var commentRE = regexp.MustCompile(`# (?:c\d+ (?:above|behind|for) [^#\n]*)`)

// checkComments checks that the comments are those that were written, and that the ones above and behind something still are.
func checkComments(t *rapid.T, before, after string, comments []string) {
	got := commentRE.FindAllString(after, -1)
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(comments))) {
		t.Fatalf("comments were lost or made:\n%s\n----\n%s", before, after)
	}
	lines := strings.Split(after, "\n")
	for i, l := range lines {
		comment := commentRE.FindString(l)
		_, key, above := strings.Cut(comment, " above ")
		if above {
			next := i + 1
			for commentRE.MatchString(lines[next]) && strings.HasPrefix(strings.TrimSpace(lines[next]), "#") || strings.TrimSpace(lines[next]) == "" {
				next++
			}
			if indent := len(l) - len(strings.TrimLeft(l, " ")); !strings.HasPrefix(lines[next][indent:], key) {
				t.Fatalf("%q stands above %q:\n%s\n----\n%s", comment, lines[next], before, after)
			}
		}
		if _, key, behind := strings.Cut(comment, " behind "); behind && !strings.Contains(strings.TrimSuffix(l, comment), key) {
			t.Fatalf("%q stands behind %q:\n%s\n----\n%s", comment, l, before, after)
		}
	}
}

// mess writes a file anew, as nobody should, and returns the comments that it wrote.
func mess(t *rapid.T, name, text string) (string, []string) {
	values, problems := spec.Documents(name, []byte(text))
	if problems != nil {
		t.Fatalf("%s", problems)
	}
	m := &messer{t: t, step: rapid.IntRange(1, 5).Draw(t, "indentation"), compact: rapid.Bool().Draw(t, "compact")}
	switch {
	case strings.HasSuffix(name, ".json"):
		m.json(values[0])
		return m.end()
	case strings.HasSuffix(name, ".md"):
		_, rest, _ := strings.Cut(text, "\n")
		_, body, _ := strings.Cut(rest, "\n---\n")
		m.WriteString("---\n")
		m.block(values[0], 0)
		m.WriteString("---\n" + body)
		return m.String(), m.comments
	}
	for i, v := range values {
		if i > 0 || rapid.Bool().Draw(t, "marker") {
			m.WriteString("---" + rapid.SampledFrom([]string{"", "  ", "\n\n", " # c0 for the document"}).Draw(t, "marker's end") + "\n")
			if strings.HasSuffix(m.String(), "document\n") {
				m.comments = append(m.comments, "# c0 for the document")
			}
		}
		m.block(v, 0)
	}
	return m.end()
}

type messer struct {
	strings.Builder
	t        *rapid.T
	step     int
	compact  bool // lists stand below their key, not inside
	comments []string
}

func (m *messer) end() (string, []string) {
	text := m.String()
	switch rapid.IntRange(0, 3).Draw(m.t, "lines") {
	case 0:
		text = "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n")
	case 1:
		text = "\n\n" + text + "\n \n\n"
	}
	return text, m.comments
}

func (m *messer) often(what string) bool { return rapid.IntRange(0, 5).Draw(m.t, what) == 0 }

func (m *messer) space(min int) string {
	return strings.Repeat(" ", rapid.IntRange(min, 3).Draw(m.t, "space"))
}

func (m *messer) comment(what, key string) string {
	c := fmt.Sprintf("# c%d %s %s", len(m.comments)+1, what, key)
	m.comments = append(m.comments, c)
	return c
}

// above writes blank lines and comments above an entry.
func (m *messer) above(key string, column int) {
	for m.often("blank line") {
		m.WriteString("\n")
	}
	for m.often("comment above") {
		m.WriteString(strings.Repeat(" ", column) + m.comment("above", key) + m.space(0) + "\n")
	}
}

// behind ends a line.
func (m *messer) behind(key string) {
	if m.often("comment behind") {
		m.WriteString(m.space(1) + m.comment("behind", key))
	}
	m.WriteString(m.space(0) + "\n")
}

// block writes a map or list in lines of its own.
func (m *messer) block(v any, column int) {
	indent := strings.Repeat(" ", column)
	switch v := v.(type) {
	case map[string]any:
		for i, k := range rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(m.t, "keys") {
			key := k
			if m.often("quoted key") {
				key = `"` + k + `"`
			}
			if i == 0 && column == 0 {
				m.WriteString(m.comment("for", "the document") + "\n") // It stays at the top, whatever comes first.
			} else {
				m.above(key+":", column)
			}
			m.WriteString(indent + key + ":")
			inside := column + m.step
			if _, isList := v[k].([]any); isList && m.compact {
				inside = column
			}
			m.nested(v[k], key+":", column, inside)
		}
	case []any:
		for _, item := range v {
			m.above("-", column)
			m.WriteString(indent + "-")
			if fields, ok := item.(map[string]any); ok && len(fields) > 0 && rapid.Bool().Draw(m.t, "dash and key") {
				// The first key stands behind the dash.
				space := m.space(1)
				inner := messer{t: m.t, step: m.step, compact: m.compact, comments: m.comments}
				inner.block(item, column+1+len(space))
				if text := inner.String(); !strings.HasPrefix(strings.TrimLeft(text, " \n"), "#") && !strings.HasPrefix(strings.TrimLeft(text, " "), "\n") {
					m.WriteString(space + strings.TrimLeft(text, " "))
					m.comments = inner.comments
					continue
				}
			}
			m.nested(item, "-", column, column+m.step)
		}
	}
}

// nested writes a value behind a key or dash.
func (m *messer) nested(v any, key string, column, inside int) {
	fields, isMap := v.(map[string]any)
	list, isList := v.([]any)
	s, isText := v.(string)
	indent := strings.Repeat(" ", column+m.step)
	switch {
	case (isMap && len(fields) > 0 || isList && len(list) > 0) && rapid.IntRange(0, 3).Draw(m.t, "block") > 0:
		m.behind(key)
		m.block(v, inside)
	case isText && s != "" && !strings.HasPrefix(s, " ") && !strings.HasPrefix(s, "\n") && rapid.Bool().Draw(m.t, "literal"):
		m.literal(s, key, indent)
	case isText && strings.Contains(s, " ") && regexp.MustCompile(`^[A-Za-z][A-Za-z ,.]*[a-z.]$`).MatchString(s) && !strings.Contains(s, "  ") && rapid.Bool().Draw(m.t, "plain"):
		m.WriteString(m.space(1) + strings.Replace(s, " ", m.space(0)+"\n"+indent+m.space(0), 1))
		m.WriteString(m.space(0) + "\n")
	default:
		m.WriteString(m.space(1))
		m.flow(v, indent, false)
		if strings.Contains(m.String()[strings.LastIndex(m.String(), "\n")+1:], key) {
			m.behind(key)
		} else {
			m.WriteString(m.space(0) + "\n")
		}
	}
}

// literal writes a text line by line.
func (m *messer) literal(s, key, indent string) {
	body := strings.TrimRight(s, "\n")
	header := "|-"
	switch trailing := len(s) - len(body); {
	case trailing == 1:
		header = "|"
	case trailing > 1:
		header = "|+"
	}
	m.WriteString(m.space(1) + header)
	m.behind(key)
	for _, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		if l != "" {
			l = indent + l
		}
		m.WriteString(l + "\n")
	}
	if header != "|+" && m.often("blank lines behind") {
		m.WriteString("\n\n\n")
	}
}

func (m *messer) json(v any) { m.flow(v, "", true) }

// flow writes a value in brackets and quotes. Without strict it may hold comments.
func (m *messer) flow(v any, indent string, strict bool) {
	space := func() {
		s := m.space(0)
		if m.often("line break") {
			s += "\n\n" + indent + s
			if !strict && m.often("comment in brackets") {
				s = " " + m.comment("for", "brackets") + "\n" + indent
			}
		}
		m.WriteString(s)
	}
	switch v := v.(type) {
	case map[string]any:
		m.WriteString("{")
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				m.WriteString(",")
			}
			space()
			m.WriteString(quote(k) + m.space(0) + ":")
			space()
			m.flow(v[k], indent, strict)
			space()
		}
		m.WriteString("}")
	case []any:
		m.WriteString("[")
		for i, item := range v {
			if i > 0 {
				m.WriteString(",")
			}
			space()
			m.flow(item, indent, strict)
			space()
		}
		m.WriteString("]")
	default:
		m.WriteString(quote(v))
	}
}

func quote(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}
