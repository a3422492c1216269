package secret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MinHidden is the shortest secret that is taken out of what agents, models and people are told, in bytes. A shorter one
// would tear holes into ordinary text.
const MinHidden = 6

// minLine is the shortest line of a secret of several lines that is hidden by itself, in bytes. Shorter ones are often
// ordinary words.
const minLine = 16

// forms lists how programs write a secret that they tell, each way once: as it is; without the blanks around it; with
// whatever is no UTF-8 replaced; escaped as in JSON, Go and Python; percent-encoded; escaped as in HTML; in base64, also as a
// part of something longer; and each line of its own, where it has several. Those of a secret shorter than [MinHidden] would
// hide ordinary text, so it has no other forms than itself without blanks.
func forms(value string) []string {
	seen := map[string]bool{}
	var all []string
	add := func(texts ...string) {
		for _, text := range texts {
			if text != "" && !seen[text] {
				seen[text] = true
				all = append(all, text)
			}
		}
	}
	trimmed := strings.TrimSpace(value)
	add(value, trimmed)
	if len(value) < MinHidden {
		return all
	}
	for _, whole := range []string{value, trimmed} {
		add(escaped(whole)...)
		add(escaped(string([]rune(whole)))...) // Decoders of JSON replace each byte that is no UTF-8 so.
		add(percent(whole)...)
		add(inBase64(whole)...)
	}
	lines := strings.FieldsFunc(trimmed, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(lines) > 1 && len(line) >= minLine {
			add(escaped(line)...)
		}
	}
	return all
}

// escaped writes text as programs do between quotes, and as it is.
func escaped(text string) []string {
	plain, ascii := inJSON(text, false), inASCII(inJSON(text, false))
	slashes := strings.NewReplacer("/", `\/`) // as PHP does
	return []string{
		text, plain, inJSON(text, true), ascii, slashes.Replace(plain), slashes.Replace(ascii),
		inJSON(plain, false), inJSON(inJSON(text, true), false), inJSON(ascii, false), // JSON within a text of JSON
		unquoted(strconv.Quote(text)), unquoted(strconv.QuoteToASCII(text)),
		inPython(text, ""), inPython(text, "'"), inPython(text, `"`),
		html.EscapeString(text),
	}
}

func unquoted(quoted string) string { return quoted[1 : len(quoted)-1] }

// inJSON is text as a JSON string holds it. Some encoders escape what means something in HTML, and some do not.
func inJSON(text string, escapeHTML bool) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if encoder.Encode(text) != nil { // A text can always be written.
		return text
	}
	return unquoted(strings.TrimSuffix(out.String(), "\n"))
}

// inASCII escapes what is not ASCII, as many encoders of JSON do.
func inASCII(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// inPython is text as repr of Python and inspect of Node.js write it. They choose quotes so that none has to be escaped, and
// where they cannot they escape one kind of them.
func inPython(text, quote string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\\' || string(r) == quote:
			out.WriteString(`\` + string(r))
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// percent writes text as in a URL. Programs differ in what they leave as it is.
func percent(text string) []string {
	form := url.QueryEscape(text)
	component := strings.ReplaceAll(form, "+", "%20")
	return []string{
		form, component, url.PathEscape(text), strings.TrimPrefix(url.UserPassword("", text).String(), ":"),
		strings.ReplaceAll(component, "%2F", "/"),                                                          // quote of Python
		strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(component), // encodeURIComponent
	}
}

// inBase64 is text in base64, on one line, and what every longer text that holds it has in common in base64, such as
// `user:password` in a header: that depends on where in a group of three bytes it begins.
func inBase64(text string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		all = append(all, encoding.EncodeToString([]byte(text)), encoding.WithPadding(base64.NoPadding).EncodeToString([]byte(text)))
		for before := range 3 {
			whole := encoding.WithPadding(base64.NoPadding).EncodeToString([]byte(strings.Repeat("x", before) + text))
			// Characters that are made of bits of the neighbours too are no part of it.
			first, end := (before*8+5)/6, (before+len(text))*8/6
			if end-first > MinHidden {
				all = append(all, whole[first:end])
			}
		}
	}
	return all
}
