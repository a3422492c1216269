package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/mainstay-dev/mainstay/spec"
)

// Permission is a permission that becomes more, or less.
type Permission struct {
	// Code says in one word what kind of permission it is, for programs: a rule may be made for some of them. New codes can
	// come at any time.
	Code string `json:"code"`
	// Resources are those that it is about, sorted by kind and name. There is at least one.
	Resources []spec.Ref `json:"resources"`
	// Text says what has become of the resources, without naming them: "gained the write tool cluster__restart".
	Text string `json:"text"`
	// Env are the environments in which it becomes more, sorted, where it does not without an overlay; see
	// [Change.AddEnvironment].
	Env []string `json:"env,omitempty"`

	format string
	values []string
}

// Phrase is the text with all in it that comes from a repository written by quote. The rest is Mainstay's own.
func (p Permission) Phrase(quote func(text string) string) string {
	quoted := make([]any, len(p.values))
	for i, v := range p.values {
		quoted[i] = quote(v)
	}
	return fmt.Sprintf(p.format, quoted...)
}

// plainWord reports whether a text is one word that no terminal and no shell takes for more.
func plainWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("_./:*@+=,$#~-", r)
	})
}

// Quote writes a text in one line that is safe to show to a person: as it is where it is one word, and else in quotes.
func Quote(text string) string {
	text = spec.Visible(text)
	switch {
	case plainWord(text):
		return text
	case strings.ContainsAny(text, "\n\t"):
		return strconv.Quote(text)
	case !strings.Contains(text, `"`):
		return `"` + text + `"`
	case !strings.Contains(text, "'"):
		return "'" + text + "'"
	case !strings.Contains(text, "`"):
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}

// permissions collects permissions. What is the same for many resources becomes one.
type permissions struct {
	index map[string]int
	all   []Permission
}

func (p *permissions) add(ref spec.Ref, code, format string, values ...string) {
	one := Permission{Code: code, format: format, values: values}
	one.Text = one.Phrase(Quote)
	key := code + "\x00" + format + "\x00" + strings.Join(values, "\x00")
	if p.index == nil {
		p.index = map[string]int{}
	}
	i, ok := p.index[key]
	if !ok {
		i = len(p.all)
		p.index[key] = i
		p.all = append(p.all, one)
	}
	if refs := p.all[i].Resources; len(refs) == 0 || refs[len(refs)-1] != ref { // All that is said of a resource is said at once.
		p.all[i].Resources = append(refs, ref)
	}
}

// sorted returns what was collected, by the first resource, and then as it was found.
func (p *permissions) sorted() []Permission {
	for _, one := range p.all {
		slices.SortFunc(one.Resources, compareRefs)
	}
	slices.SortStableFunc(p.all, func(a, b Permission) int { return compareRefs(a.Resources[0], b.Resources[0]) })
	return p.all
}
