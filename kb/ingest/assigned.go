package ingest

import (
	"slices"
	"strings"
	"unicode"
)

// What gives a value to a name within a line, whatever the line is: code, a command, a connection string, XML, a sentence. A value there is
// taken for a credential where its name is one's and it is in quotes or looks like none of a language's own words.
var (
	inQuotes    = lazily(`([A-Za-z_][\w.\-]*)(["']?\s*(?::=|=>|=|:)\s*[a-zA-Z]?)(["'` + "`" + `])([^"'` + "`" + `\s]{4,500})`)
	inParameter = lazily(`([A-Za-z_][\w.\-]*)(=)()([^=&;,"'<>\s$({\[*][^&;,"'<>\s]{3,500})`)
	inFlag      = lazily(`--?([A-Za-z][\w\-]*)(["']?[\s,=]\s*)(["']?)([^\s"',=$<{\[(*-][^\s"',]{3,500})`)
	inElement   = lazily(`<([A-Za-z_][\w.\-]*)(>)(\s*)([^<>\s$]{4,500})`)
	inLogin     = lazily(`(\s(?:-u|--user)[\s=]+["']?[\w.@\-]+:)([^\s"'$(][^\s"']{3,500})`)
	inSetting   = lazily(`^(\s*(?:[-*+>]\s+|export\s+|set\s+|ENV\s+|ARG\s+)?)([A-Za-z_][\w.\-]*)(\s*[:=]\s*)([^\s"'$<({\[*][^\s"'(){}]{5,500})\s*$`)
	// namePath is what names another value in code.
	namePath = lazily(`^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$`)
)

// concealAssigned leaves out what a line gives to names of credentials.
func concealAssigned(line string) string {
	if len(line) > 10_000 || !strings.ContainsAny(line, "=:->") {
		return line
	}
	lower := strings.ToLower(line)
	if strings.Contains(lower, "http") || strings.Contains(lower, "curl") { // Elsewhere it is a user and a group.
		line = inLogin.ReplaceAllString(line, "${1}"+leftOut)
	}
	if !slices.ContainsFunc(credentialMarks, func(mark string) bool { return strings.Contains(lower, mark) }) {
		return line
	}
	if m := inSetting.FindStringSubmatch(line); m != nil && credentialName(m[2]) && !namesKey(m[2], m[4]) && literal(m[4]) && random(m[4]) {
		return m[1] + m[2] + m[3] + leftOut
	}
	for _, form := range []*lazy{inQuotes, inFlag, inElement, inParameter} {
		line = replaced(line, form, func(m []string) bool {
			if !credentialName(m[1]) || namesKey(m[1], m[4]) || !literal(m[4]) || standsFor(m[4]) {
				return false
			}
			return form == inQuotes || form == inElement || random(m[4])
		})
	}
	return line
}

// credentialMarks are what names of credentials have, one of them each.
var credentialMarks = []string{"pass", "pwd", "token", "key", "secret", "bearer", "credentials", "connection"}

// replaced leaves out the fourth group where it is a credential.
func replaced(line string, form *lazy, credential func(groups []string) bool) string {
	var b strings.Builder
	last := 0
	for _, at := range form.FindAllStringSubmatchIndex(line, -1) {
		m := make([]string, 5)
		for i := range m {
			m[i] = line[at[2*i]:at[2*i+1]]
		}
		if credential(m) {
			b.WriteString(line[last:at[8]] + leftOut)
			last = at[9]
		}
	}
	return b.String() + line[last:]
}

// random says whether a value has digits among its letters, or signs that words have not: a name of code, or a word, is none.
func random(value string) bool {
	digits, letters := strings.ContainsAny(value, "0123456789"), strings.ContainsFunc(value, unicode.IsLetter)
	return digits && letters && !namePath.MatchString(value) && !strings.ContainsAny(value, "(){}[]<>")
}

// standsFor says whether a value only says where one goes, or was: TOKEN, a path, a template.
func standsFor(value string) bool {
	return strings.HasPrefix(leftOut, value) || value == strings.ToUpper(value) && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == "" ||
		strings.ContainsAny(value, "{}<>$%") || strings.HasPrefix(value, "/") || strings.HasPrefix(value, "./") || namePath.MatchString(value)
}
