// Package words cuts text into the terms that are searched. It does so for prose and for what engineers write alike: an identifier, a
// path or a version is found by the whole and by its parts, however it is joined. It keeps nothing.
package words

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// maxRun is the longest run that is searched, in bytes. What is longer is data that nobody types.
const maxRun = 128

// stop are words that say nothing of what a text is about: those of Lucene's EnglishAnalyzer.
var stop = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq("a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with") {
		m[w] = true
	}
	return m
}()

// asking are terms of the words with which people ask, and speak of what they do not name. They are in what is indexed, since there are
// names among them, such as us and can.
var asking = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`
		what when where who whom whose which how why
		do did does done doing has have had having were been being am
		can could would should may might must shall
		i me my we us our you your he him his she her them its those`) {
		for _, term := range Terms(w) {
			m[term] = true
		}
	}
	return m
}()

// Asking reports whether a term, as Terms returns it, is of a word with which people ask, and speak of what they do not name: what, did
// and she tell little of what somebody looks for, however rare they are where they are searched.
func Asking(term string) bool { return asking[term] }

// joins reports whether a rune stands within words, and not at their ends.
func joins(r rune) bool { return r == '-' || r == '_' || r == '.' || r == '\'' || r == '’' }

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// sign is what a rune is within a text.
type sign uint8

const (
	other sign = iota
	word
	joint
)

func signOf(r rune) sign {
	switch {
	case inWord(r):
		return word
	case joins(r):
		return joint
	}
	return other
}

// signs are those of ASCII, which most of all runes are.
var signs = func() (of [utf8.RuneSelf]sign) {
	for r := range of {
		of[r] = signOf(rune(r))
	}
	return of
}()

// Runs yields what stands between blanks and other signs: `read-only`, `kube_system`, `v1.2.3`, and `docs` and `intro.md` of a path. Those
// of more than 128 bytes are left out.
func Runs(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin, end := -1, 0 // end is after the last rune that is no joint
		for i := 0; i < len(text); {
			is, size := other, 1
			if b := text[i]; b < utf8.RuneSelf {
				is = signs[b]
			} else {
				var r rune
				r, size = utf8.DecodeRuneInString(text[i:])
				is = signOf(r)
			}
			i += size
			switch is {
			case word:
				if begin < 0 {
					begin = i - size
				}
				end = i
			case other:
				if begin >= 0 && end-begin <= maxRun && !yield(text[begin:end]) {
					return
				}
				begin = -1
			}
		}
		if begin >= 0 && end-begin <= maxRun {
			yield(text[begin:end])
		}
	}
}

// Terms returns what a run is found by, in lower case and without endings: its parts, which joints and capitals divide, and all of them
// together. A run of no meaning has none. Text in scripts without blanks is cut into pairs of signs.
func Terms(run string) []string {
	var c Cutter
	return c.Terms(run)
}

// Cutter does what Terms does, and remembers what parts of runs become, which are often the same. It is for one goroutine.
type Cutter struct {
	stems  map[string]string // nil where nothing is remembered
	parts  []string
	joined []byte
}

// maxStems bounds what a Cutter remembers.
const maxStems = 1 << 16

// NewCutter returns a Cutter that remembers nothing yet.
func NewCutter() *Cutter { return &Cutter{stems: map[string]string{}} }

// Terms returns what the function of that name does. They may share the memory of the run.
func (c *Cutter) Terms(run string) []string {
	plain := ascii(run)
	if !plain {
		run = norm.NFKC.String(run)
		plain = ascii(run)
	}
	if v := version(run); v != "" {
		return []string{v}
	}
	if plain {
		c.parts = splitASCII(c.parts[:0], run)
	} else {
		c.parts = splitRunes(c.parts[:0], run)
	}
	switch len(c.parts) {
	case 0:
		return nil
	case 1:
		switch w := c.parts[0]; {
		case stop[w]:
			return nil
		case !plain && wide(w):
			return pairs(w)
		default:
			return []string{c.stem(w)}
		}
	}
	terms := make([]string, 0, len(c.parts)+1)
	c.joined = c.joined[:0]
	for _, p := range c.parts {
		c.joined = append(c.joined, p...)
		if utf8.RuneCountInString(p) > 1 && !stop[p] {
			terms = append(terms, c.stem(p))
		}
	}
	if whole := stem(string(c.joined)); !slices.Contains(terms, whole) {
		terms = append(terms, whole)
	}
	return terms
}

// stem is that of a part.
func (c *Cutter) stem(part string) string {
	if c.stems == nil {
		return stem(part)
	}
	if s, known := c.stems[part]; known {
		return s
	}
	if len(c.stems) == maxStems {
		clear(c.stems)
	}
	part = strings.Clone(part) // A part of a text keeps all of it in memory.
	s := stem(part)
	c.stems[part] = s
	return s
}

// version returns the numbers of a version or an address, such as 1.2.3 of v1.2.3, or "".
func version(run string) string {
	v := strings.TrimPrefix(strings.TrimPrefix(run, "v"), "V")
	for _, r := range v {
		if r != '.' && (r < '0' || r > '9') {
			return ""
		}
	}
	if !strings.Contains(v, ".") {
		return ""
	}
	return v
}

// splitRunes divides a run at its joints and where capitals begin a word, and drops the s of a genitive. It appends what that gives. A
// letter may be a blank and a mark when it is normalized, so that what is no part of a word divides as well.
func splitRunes(parts []string, run string) []string {
	runes := []rune(run)
	begin := 0
	cut := func(end int) {
		if end > begin {
			parts = append(parts, strings.ToLower(string(runes[begin:end])))
		}
		begin = end
	}
	for i, r := range runes {
		switch {
		case !inWord(r):
			cut(i)
			begin = i + 1
			if rest := string(runes[begin:]); (r == '\'' || r == '’') && (rest == "s" || rest == "S") {
				return parts
			}
		case i > begin && unicode.IsUpper(r):
			if !unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
				cut(i)
			}
		}
	}
	cut(len(runes))
	return parts
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// splitASCII is splitRunes for what most runs are.
func splitASCII(parts []string, run string) []string {
	begin := 0
	cut := func(end int) {
		if end > begin {
			parts = append(parts, strings.ToLower(run[begin:end]))
		}
		begin = end
	}
	upper := func(i int) bool { return run[i] >= 'A' && run[i] <= 'Z' }
	for i := range len(run) {
		switch {
		case joins(rune(run[i])):
			cut(i)
			begin = i + 1
			if rest := run[begin:]; run[i] == '\'' && (rest == "s" || rest == "S") {
				return parts
			}
		case i > begin && upper(i):
			if !upper(i-1) || i+1 < len(run) && run[i+1] >= 'a' && run[i+1] <= 'z' {
				cut(i)
			}
		}
	}
	cut(len(run))
	return parts
}

// stem takes the ending off an English word. What holds digits or other scripts stays.
func stem(w string) string {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return w
		}
	}
	return english.Stem(w, true)
}

// wide reports whether a word is of a script without blanks.
func wide(w string) bool {
	for _, r := range w {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai) {
			return true
		}
	}
	return false
}

func pairs(w string) []string {
	runes := []rune(w)
	if len(runes) == 1 {
		return []string{w}
	}
	var terms []string
	for i := range len(runes) - 1 {
		terms = append(terms, string(runes[i:i+2]))
	}
	return terms
}
