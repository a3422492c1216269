package ingest

import (
	"slices"
	"strings"
	"unicode"
)

// credentialWords are what the name of a setting ends with that holds a credential, in words.
var credentialWords = []string{"password", "passwd", "passphrase", "pwd", "token", "api key", "apikey", "access key", "accesskey", "secret key", "secretkey",
	"private key", "privatekey", "client secret", "clientsecret", "shared secret", "webhook secret", "signing secret", "signing key", "encryption key",
	"app secret", "jwt secret", "secret access key", "account key", "client key data", "connection string", "bearer", "credentials"}

// credentialName says whether a setting of this name holds a credential: dbPassword, DB_PASSWORD and db-password do, passwordFile does not.
func credentialName(name string) bool {
	words := wordsOf(name)
	return slices.ContainsFunc(credentialWords, func(w string) bool {
		return words == w || strings.HasSuffix(words, " "+w)
	})
}

// wordsOf cuts a name into words, in lower case.
func wordsOf(name string) string {
	if len(name) > 256 {
		name = name[len(name)-256:]
	}
	var b strings.Builder
	lower := false
	for _, r := range name {
		switch {
		case unicode.IsUpper(r):
			if lower {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToLower(r))
			lower = false
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
		lower = true
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// keyName is the name of a key in a store, as external secrets have it under secretKey, where others have the key itself.
var keyName = lazily(`^[A-Za-z][A-Za-z_.-]*$`)

// namesKey says whether a setting only names a key.
func namesKey(name, value string) bool {
	return name == "secretKey" && keyName.MatchString(strings.Trim(value, `"'`))
}

// literal says whether a value is written as it is, not as a reference, a switch, or a place for one.
func literal(value string) bool {
	v := strings.Trim(strings.TrimSpace(value), `"',;`)
	switch strings.ToLower(v) {
	case "", "true", "false", "null", "~", "yes", "no", "none", "nil", "|", "|-", ">", ">-", "{", "[", "{}", "[]", strings.ToLower(leftOut):
		return false
	}
	switch v[0] {
	case '$', '<', '*', '&', '{', '[':
		return strings.HasPrefix(v, "$2") // the hash of a password
	}
	return true
}

// reference is a value in Terraform that names another.
var reference = lazily(`^(?:var|local|data|module|each|self|path|aws|google|azurerm|random|kubernetes|vault)[\w]*\.[\w.\[\]"*-]+$|^\w+\(.*$`)

var setting = lazily(`^(\s*(?:-\s+|export\s+|set\s+)?["']?)([A-Za-z_][\w.\-/]*)(["']?\s*[:=]\s*)(\S.*?)(\s*,?\s*)$`)

// concealSettings leaves out the values of settings that hold credentials by their name, one a line.
func concealSettings(lines []string) {
	for i, line := range lines {
		if len(line) > 10_000 || !strings.ContainsAny(line, ":=") {
			continue
		}
		m := setting.FindStringSubmatch(line)
		if m == nil || !credentialName(m[2]) || namesKey(m[2], m[4]) || !literal(m[4]) || reference.MatchString(m[4]) {
			continue
		}
		lines[i] = m[1] + m[2] + m[3] + leftOut + m[5]
	}
}
