package spec

import (
	"bytes"
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
	looked := 0
	for _, name := range names(found) {
		e := found[name]
		switch {
		case slices.Contains(folders, name) || strings.HasPrefix(name, ".") || name == rootFile:
		case name == "mainstay.yml" && found[rootFile] == nil: // That is told where the root file is looked for.
		case !e.IsDir():
			if looked++; looked <= maxRootFiles {
				l.checkRootFile(name, e)
			}
		default:
			if folder := folderMeant(name); folder != "" {
				l.add(Problem{Place: Place{File: name}, Severity: SeverityWarning, Summary: "this folder is not read, so what it declares does not exist",
					Hint: "did you mean \"" + folder + "\"?"})
			}
		}
	}
}

// folderMeant is the folder of resources whose name somebody may have meant: one with a letter more or less, two in a long
// name, or the name of what it declares.
func folderMeant(name string) string {
	looks := skeleton(name)
	for _, folder := range folders {
		if near.Distance(looks, folder) <= 1+len(folder)/8 || strings.EqualFold(looks, string(folderKinds[folder])) {
			return folder
		}
	}
	return ""
}

// maxRootFiles is how many files beside mainstay.yaml are looked into for that.
const maxRootFiles = 100

// checkRootFile warns of a resource beside mainstay.yaml, where none is read.
func (l *loader) checkRootFile(name string, e fs.DirEntry) {
	if !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) || !e.Type().IsRegular() || tooLarge(e) {
		return
	}
	raw, err := readAtMost(l.root, name, maxFile)
	if group, _, _ := strings.Cut(APIVersion, "/"); err == nil && ours(raw, group) {
		l.add(Problem{Place: Place{File: name}, Severity: SeverityWarning, Summary: "this file is not read, so what it declares does not exist",
			Hint: "move it to the folder of its kind, such as agents/"})
	}
}

// ours reports whether a line of a file says that it declares a resource of an API group.
func ours(raw []byte, group string) bool {
	for line := range bytes.Lines(raw) {
		if bytes.Contains(line, []byte("apiVersion")) && bytes.Contains(line, []byte(group+"/")) {
			return true
		}
	}
	return false
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
