package spec

import (
	"path"
	"regexp"
	"strings"
	"unicode"
)

// aliasRE matches the names by which Windows finds a file under a name that is not written: 8.3 names and NTFS streams.
var aliasRE = regexp.MustCompile(`^[^.]{1,6}~[0-9]{1,6}(\.[^.]{0,3})?$|^(?i:\.git):|::|:\$`)

// Protected reports whether no file proposal may touch the path, whatever an agent's globs say. The path is relative to
// the folder that holds mainstay.yaml. Protected are mainstay.yaml, mainstay.lock, policies/ and actions/, since they
// decide what is approved and executed, overlays/, which change the Fleet, secrets/, which no reviewer can read, and .git and whatever else at the root begins
// with .git (.github/, .gitmodules). Case does not matter, because some file systems ignore it. A path that is empty,
// absolute or not in its simplest form upwards (`..`), or that holds a backslash, a control character or invalid UTF-8, is
// protected too, and so is one with another name of a file on Windows: a short one (git~1) or a stream (.git::$DATA).
func Protected(name string) bool {
	if name == "" || path.IsAbs(name) || strings.Contains(name, `\`) || strings.ToValidUTF8(name, "") != name {
		return true
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
		return true
	}
	parts := strings.Split(name, "/")
	for _, part := range parts {
		// Windows and macOS drop trailing dots and spaces, so `policies.` and `..  ` are other names for what is there.
		trimmed := strings.TrimRight(part, ". ")
		if part == ".." || (part != "" && part != "." && trimmed != part) || strings.EqualFold(trimmed, ".git") || aliasRE.MatchString(part) {
			return true
		}
	}
	clean := strings.ToLower(path.Clean(name))
	first, _, _ := strings.Cut(clean, "/")
	switch first {
	case ".", "mainstay.yaml", "mainstay.lock", "policies", "actions", "overlays", "secrets":
		return true
	}
	return strings.HasPrefix(first, ".git")
}
