package ingest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
)

// leftOut stands where a secret stood.
const leftOut = kb.LeftOut

// conceal leaves out of a text what is secret wherever it stands: private keys, what SOPS has encrypted, passwords in URLs and headers,
// tokens of known forms, what is given to a name of a credential, and the values of Kubernetes Secrets, as they stand in examples too.
// Lines stay where they are.
//
// It knows forms, not meanings: a password in a sentence stays.
func conceal(lines []string) []string {
	lines = slices.Clone(lines)
	concealKeys(lines)
	concealManifests(lines)
	for i, line := range lines {
		lines[i] = concealAssigned(concealLine(line))
	}
	return lines
}

// concealLine leaves out of a line what is secret wherever it stands.
func concealLine(line string) string {
	if strings.Contains(line, "ENC[") {
		line = encrypted.ReplaceAllString(line, leftOut)
	}
	if strings.Contains(line, "://") && strings.Contains(line, "@") {
		line = userinfo.ReplaceAllString(line, "${1}:"+leftOut+"@")
	}
	if strings.Contains(line, "uthorization") {
		line = authorization.ReplaceAllString(line, "${1}"+leftOut)
	}
	if len(line) >= shortestToken && slices.ContainsFunc(tokenMarks, func(mark string) bool { return strings.Contains(line, mark) }) {
		line = knownToken.ReplaceAllString(line, leftOut)
	}
	return line
}

// shortestToken is how long a token is at least that is known by its form.
const shortestToken = 15

var (
	// encrypted is a value that SOPS has encrypted (https://getsops.io/docs/).
	encrypted = lazily(`ENC\[[A-Z0-9_]+,[^\]]*(?:\]|$)`)
	// A password that is a variable is none.
	userinfo      = lazily(`([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@"'<>]{0,200}):[^/\s@"'<>${*][^/\s@"'<>]{0,500}@`)
	authorization = lazily(`(?i)(\bauthorization["']?\s*[:=]\s*["']?(?:bearer|basic|token)\s+)[A-Za-z0-9+/=._~-]{12,}`)

	tokenMarks = []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sk-", "AKIA", "ASIA", "AIza", "npm_", "hvs.",
		"AGE-SECRET-KEY-1", "eyJ", "dop_v1_", "SG.", "pypi-", "hooks.slack.com/services/"}
	knownToken = lazily(`\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}` +
		`|sk-[A-Za-z0-9_-]{32,}|A[KS]IA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{36}|hvs\.[A-Za-z0-9_-]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{40,}` +
		`|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*|dop_v1_[a-f0-9]{60,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|pypi-[A-Za-z0-9_-]{40,}` +
		`|hooks\.slack\.com/services/[A-Za-z0-9/]{20,})`)

	keyBegin = lazily(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyEnd   = lazily(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	// keyLine is what may stand in a key: base64, in quotes, behind marks of comments, or a header.
	keyLine = lazily(`^[\s"'>#*/+-]*(?:[A-Za-z0-9+/=]{16,}|[A-Za-z0-9+/]*={1,2}|=[A-Za-z0-9+/]{4}|[A-Z][A-Za-z-]+: .*)?(?:\\n)?[\s"',;+\\)]*$`)
)

// maxKey is how many lines a private key may have.
const maxKey = 1000

// concealKeys leaves out private keys in the textual encoding of RFC 7468, and those of OpenPGP. Where the end is missing, all lines that
// could be the key's are left out.
func concealKeys(lines []string) {
	for i := 0; i < len(lines); i++ {
		if !strings.Contains(lines[i], "PRIVATE KEY") {
			continue
		}
		done := "" // what is finished of the line
		rest := lines[i]
		for {
			at := keyBegin.FindStringIndex(rest)
			if at == nil {
				lines[i] = done + rest
				break
			}
			done += rest[:at[0]] + leftOut
			rest = rest[at[1]:]
			if end := keyEnd.FindStringIndex(rest); end != nil {
				rest = rest[end[1]:]
				continue
			}
			lines[i] = done
			next, tail := keyTail(lines, i+1)
			for j := i + 1; j < next; j++ {
				lines[j] = ""
			}
			if tail == "" {
				i = next - 1
				break
			}
			i, done, rest = next-1, "", tail
		}
	}
}

// keyTail returns the line behind a key, and what follows the key in its last line.
func keyTail(lines []string, from int) (next int, tail string) {
	for i := from; i < min(len(lines), from+maxKey); i++ {
		if end := keyEnd.FindStringIndex(lines[i]); end != nil {
			return i + 1, lines[i][end[1]:]
		}
		if keyBegin.MatchString(lines[i]) {
			break
		}
	}
	next = from
	for next < len(lines) && keyLine.MatchString(lines[next]) {
		next++
	}
	return next, ""
}

var (
	secretKind  = lazily(`["']?\bkind["']?\s*:\s*["']?Secret\b["']?\s*(?:[,}#]|$)`)
	secretData  = lazily(`(?:^|[\s{,>#-])["']?((?:data|stringData)["']?\s*:)(.*)$`)
	lastApplied = lazily(`((?:kubectl\.kubernetes\.io/last-applied-configuration|\.dockerconfigjson|\.dockercfg)["']?\s*:)(.*)$`)
	entry       = lazily(`^([\s>#*-]*["']?[A-Za-z0-9._/-]+["']?\s*[:=])(\s*)(.*)$`)
	// emptied is a map in one line in which no value is left.
	emptied = lazily(`^\{\s*(?:["']?[\w./-]+["']?\s*:\s*` + regexp.QuoteMeta(leftOut) + `\s*,?\s*)*\}\s*,?$`)
	fence   = lazily("^[\\s>]*(?:```|~~~|---\\s*(?:#.*)?$)")
)

// fences says whether a line begins or ends a block of code, or a document of YAML.
func fences(line string) bool {
	return (strings.Contains(line, "---") || strings.Contains(line, "```") || strings.Contains(line, "~~~")) && fence.MatchString(line)
}

// concealManifests leaves out the values of Kubernetes Secrets, whatever they stand in, and what repeats a whole resource. It goes by lines
// and indentation, since what surrounds them may be prose, or a template.
func concealManifests(lines []string) {
	for begin := 0; begin < len(lines); {
		end, secret := begin, false
		for ; end < len(lines) && (end == begin || !fences(lines[end])); end++ {
			line := lines[end]
			secret = secret || strings.Contains(line, "Secret") && secretKind.MatchString(line)
		}
		for i := begin; i < end; i++ {
			switch line := lines[i]; {
			case secret && (strings.Contains(line, "data") || strings.Contains(line, "stringData")) && secretData.MatchString(line):
				i = concealMap(lines[:end], i, secretData.FindStringSubmatchIndex(line))
			case strings.Contains(line, "last-applied-configuration") || strings.Contains(line, ".dockerc"):
				if at := lastApplied.FindStringSubmatchIndex(line); at != nil {
					lines[i] = line[:at[3]] + " " + leftOut
					i = dropBeneath(lines[:end], i, indent(line))
				}
			}
		}
		begin = max(end, begin+1)
	}
}

// concealMap leaves out the values of a map that begins behind a key in line i, and returns its last line. at is where the key and the
// rest of the line are.
func concealMap(lines []string, i int, at []int) int {
	line := lines[i]
	column, rest := at[2], strings.TrimSpace(line[at[4]:at[5]])
	if quote := column - 1; quote >= 0 && strings.IndexByte(`"'`, line[quote]) >= 0 {
		column = quote
	}
	open := 0
	switch {
	case strings.HasPrefix(rest, "{{"): // a template that makes all of it
	case strings.HasPrefix(rest, "{"):
		open = strings.Count(rest, "{") - strings.Count(rest, "}")
		if rest != "{" && rest != "{}" && !emptied.MatchString(rest) {
			lines[i] = line[:at[4]] + " " + leftOut
		}
	case rest != "" && rest[0] != '#' && rest[0] != '&' && rest[0] != '!':
		lines[i] = line[:at[4]] + " " + leftOut
	}
	key := -1 // the column of the map's keys
	for j := i + 1; j < len(lines); j++ {
		line := lines[j]
		text := strings.TrimLeft(line, " \t>#")
		switch in := len(line) - len(text); {
		case strings.TrimSpace(text) == "" || strings.HasPrefix(text, "{{") && strings.HasSuffix(strings.TrimSpace(text), "}}"):
			continue
		case in <= column && open <= 0:
			return j - 1
		default:
			if open > 0 {
				if open += strings.Count(text, "{") - strings.Count(text, "}"); open <= 0 && strings.Trim(text, "}, \t") == "" {
					return j
				}
			}
			if key < 0 {
				key = in
			}
			// What is deeper than the keys goes on with a value.
			if m := entry.FindStringSubmatch(line); m != nil && in <= key {
				if v := strings.TrimSpace(m[3]); v == "" || strings.HasPrefix(v, "{{") && strings.HasSuffix(v, "}}") && !strings.ContainsAny(v, "\"'`") {
					continue
				}
				lines[j] = m[1] + m[2] + leftOut
			} else {
				lines[j] = ""
			}
		}
	}
	return len(lines) - 1
}

// dropBeneath empties the lines that are further in than a column, and returns the last of them.
func dropBeneath(lines []string, i, column int) int {
	for j := i + 1; j < len(lines); j++ {
		if !blank(lines[j]) && indent(lines[j]) <= column {
			return j - 1
		}
		lines[j] = ""
	}
	return len(lines) - 1
}

// indent is how far in a line begins.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
