package render

import (
	"strings"
	"text/template"
	"time"
)

// standsFor stands in place of what would be another key or certificate each time.
const standsFor = "(made anew for each release)"

// repeatable are the functions of templates that are others here: what is random or the time is always the same, keys are not made, and a
// value that a chart requires and its values.yaml has not is told and left empty.
func repeatable(a *answer) template.FuncMap {
	text := func(...any) string { return standsFor }
	letters := func(letter string) func(int) string {
		return func(n int) string { return strings.Repeat(letter, min(max(n, 0), 1024)) }
	}
	certificate := func(...any) map[string]string { return map[string]string{"Cert": standsFor, "Key": standsFor} }
	told := map[string]bool{}
	tell := func(message string) {
		if message = oneLine(message); !told[message] {
			told[message] = true
			a.problem(message)
		}
	}
	return template.FuncMap{
		"required": func(message string, v any) any {
			if v == nil || v == "" {
				tell("its values.yaml leaves out what it requires: " + message)
				return ""
			}
			return v
		},
		"fail": func(message string) string {
			tell("with its own values it says: " + message)
			return ""
		},
		"getHostByName": func(string) string { return "" },
		"lookup":        func(...any) map[string]any { return map[string]any{} },
		"now":           func() time.Time { return time.Unix(0, 0).UTC() },
		"ago":           func(any) string { return "0s" },
		"uuidv4":        func() string { return "00000000-0000-4000-8000-000000000000" },
		"randAlphaNum":  letters("x"),
		"randAlpha":     letters("x"),
		"randAscii":     letters("x"),
		"randNumeric":   letters("0"),
		"randBytes":     letters("x"),
		"randInt":       func(low, _ int) int { return low },
		"shuffle":       func(s string) string { return s },
		"bcrypt":        text, "htpasswd": text, "derivePassword": text, "encryptAES": text, "genPrivateKey": text,
		"buildCustomCert": certificate, "genCA": certificate, "genCAWithKey": certificate, "genSelfSignedCert": certificate,
		"genSelfSignedCertWithKey": certificate, "genSignedCert": certificate, "genSignedCertWithKey": certificate,
	}
}
