package spec

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// checkNames reports names in a folder that are not what they look like: those that hold what nobody sees, and those that
// are one file where a file system ignores case or takes two forms of a letter for one.
func (l *loader) checkNames(folder string, entries []fs.DirEntry) {
	seen := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		here := Place{File: path.Join(folder, name)}
		if strings.ContainsFunc(name, hidden) || strings.ToValidUTF8(name, "") != name {
			l.errorAt(here, "rename it", "the name holds a character that cannot be seen")
			continue
		}
		same := strings.ToLower(norm.NFC.String(name))
		if first, ok := seen[same]; ok {
			l.errorAt(here, "rename one of them", "this is the same file as %q on systems that ignore case", first)
		}
		seen[same] = name
	}
}

// hidden reports characters that change what is seen of a text, or that show nothing.
func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// checkFolders warns of folders at the root that are not read and may be meant to be: what is in them would be ignored
// without a word.
func (l *loader) checkFolders(found map[string]fs.DirEntry) {
	for _, name := range names(found) {
		e := found[name]
		if !e.IsDir() || slices.Contains(folders, name) || strings.HasPrefix(name, ".") {
			continue
		}
		for _, folder := range folders {
			if found[folder] == nil && near.Distance(skeleton(name), folder) <= 1 {
				l.add(Problem{Place: Place{File: name}, Severity: SeverityWarning, Summary: "this folder is not read, so what it declares does not exist",
					Hint: "did you mean \"" + folder + "\"?"})
			}
		}
	}
}

// lookalikes maps what people take for one another to one form.
var lookalikes = strings.NewReplacer("0", "o", "1", "l", "rn", "m", "vv", "w",
	"а", "a", "с", "c", "е", "e", "і", "i", "ј", "j", "к", "k", "м", "m", "о", "o", "р", "p", "ѕ", "s", "т", "t", "у", "y", "х", "x",
	"α", "a", "ι", "i", "κ", "k", "ν", "v", "ο", "o", "ρ", "p", "τ", "t")

// skeleton is the same for names that look alike.
func skeleton(name string) string { return lookalikes.Replace(strings.ToLower(norm.NFKC.String(name))) }

// alike finds names that look like an earlier one, each with that.
func alike(sorted []string) [][2]string {
	var found [][2]string
	first := make(map[string]string, len(sorted))
	for _, name := range sorted {
		s := skeleton(name)
		if other, ok := first[s]; ok {
			found = append(found, [2]string{name, other})
			continue
		}
		first[s] = name
	}
	return found
}

// warnAlike warns of a resource whose name looks like that of another one of its kind.
func warnAlike[S any](l *loader, pairs [][2]string, resources map[string]*entry[S]) {
	for _, pair := range pairs {
		if e := resources[pair[0]]; e != nil {
			l.warn(e.named, "rename one of them", "the name %q looks like %q", pair[0], pair[1])
		}
	}
}
