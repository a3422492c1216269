package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// skillFile makes the folder it is in a skill.
const skillFile = "SKILL.md"

// maxSkillFiles is how many files one skill's folder may hold.
const maxSkillFiles = 1000

// The limits of https://agentskills.io/specification, in characters.
const (
	maxSkillDescription   = 1024
	maxSkillCompatibility = 500
)

var skillName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// skillFields are the fields of a SKILL.md's front matter.
var skillFields = []string{"name", "description", "license", "compatibility", "metadata", "allowed-tools"}

// readSkill reads a skill's folder. Skills are written for many agents by many people, so only what cannot be used is an
// error; where a skill departs from the specification is a warning.
func (l *loader) readSkill(folder string, entries []fs.DirEntry) {
	s := &Skill{Files: map[string][]byte{}}
	s.Ref = Ref{Kind: KindSkill, Name: path.Base(folder)}
	s.Place = Place{File: path.Join(folder, skillFile)}
	l.skillFiles(s, folder, folder, entries)
	if s.Files[skillFile] == nil { // Why it cannot be read is a problem already.
		return
	}
	l.skillList = append(l.skillList, s)
	l.skillFront(s)
	digests := map[string]Digest{}
	for name, content := range s.Files {
		digests[name] = DigestBytes(content)
	}
	s.Digest = l.digest(s.Place, digests)
}

// skillFiles reads the files of a folder into the skill. What begins with a dot is left out.
func (l *loader) skillFiles(s *Skill, root, folder string, entries []fs.DirEntry) {
	if strings.Count(folder, "/") > maxDepth {
		l.errorAt(Place{File: folder}, "", "folders are nested deeper than %d levels", maxDepth)
		return
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir():
			inside, err := fs.ReadDir(l.root, name)
			if err != nil {
				l.errorAt(Place{File: name}, "", "the folder cannot be read: %s", reason(err))
				continue
			}
			l.checkNames(name, inside)
			l.skillFiles(s, root, name, inside)
		case len(s.Files) >= maxSkillFiles:
			l.errorAt(Place{File: name}, "", "a skill holds at most %d files", maxSkillFiles)
			return
		case name != path.Join(root, skillFile) && tooLarge(e):
			l.add(Problem{Place: Place{File: name}, Severity: SeverityWarning,
				Summary: fmt.Sprintf("the file is larger than %d KiB, so agents will not see it", maxFile>>10), Hint: "make it smaller"})
		default:
			if raw, ok := l.readBytes(name, e); ok {
				s.Files[strings.TrimPrefix(name, root+"/")] = raw
			}
		}
	}
}

func tooLarge(e fs.DirEntry) bool {
	info, err := e.Info()
	return err == nil && info.Mode().IsRegular() && info.Size() > maxFile
}

// skillFront reads the front matter of SKILL.md. Comments before it are skipped, since many files begin with a licence.
func (l *loader) skillFront(s *Skill) {
	raw := s.Files[skillFile]
	if at := invalidUTF8(raw); at >= 0 {
		l.errorAt(s.Place, "save the file as UTF-8", "this is not UTF-8")
		return
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(raw), "\ufeff"))
	f := &file{path: s.Place.File, raw: raw, text: text}
	rest := skipComments(text)
	first, after, _ := strings.Cut(rest, "\n")
	if strings.TrimRight(first, " \t") != "---" {
		l.errorAt(s.Place, "begin with a line of `---`, `description: what it is for`, and another `---`", "the skill has no front matter, and so no description")
		return
	}
	skip := strings.Count(text[:len(text)-len(rest)], "\n") + 1
	front, _, _, ok := cutFrontMatter(after)
	if !ok {
		l.errorAt(Place{File: f.path, Line: skip, Column: 1}, "end it with a line of `---`", "the front matter has no end")
		return
	}
	nodes, err := parseYAML(f, front, skip)
	var bad *parseError
	switch {
	case errors.As(err, &bad):
		l.errorAt(Place{File: f.path, Line: bad.line, Column: bad.column}, bad.hint, "%s", bad.summary)
		return
	case len(nodes) == 0 || nodes[0].kind != objectNode:
		l.errorAt(Place{File: f.path, Line: skip, Column: 1}, "write `description: what it is for`", "the front matter says nothing")
		return
	}
	l.skillFields(s, nodes[0])
}

// skipComments cuts blank lines and HTML comments from the beginning of a text.
func skipComments(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\n")
		if !strings.HasPrefix(text, "<!--") {
			return text
		}
		_, after, ok := strings.Cut(text, "-->")
		if !ok {
			return text
		}
		text = after
	}
}

func (l *loader) skillFields(s *Skill, n *node) {
	s.Place.Line, s.Place.Column = n.line, n.column
	for _, f := range n.fields {
		if !slices.Contains(skillFields, f.name) {
			l.warn(f.key, near.Hint(f.name, skillFields, "put it under metadata"), "the Agent Skills specification has no field %q", f.name)
		}
	}
	text := func(field string) string {
		v := n.get(field)
		if v == nil || v.kind == nullNode {
			return ""
		}
		t, ok := v.value.(string)
		if !ok {
			l.warn(v, "", "%q wants text, not %s", field, v.describe())
			return v.written
		}
		return t
	}
	switch name := text("name"); {
	case name == "":
		l.warn(n, "write name: "+s.Name, "the skill has no name; it is known as %q, its folder's", s.Name)
	case name != s.Name:
		l.warn(n.at("name"), "make them the same", "the skill's name %q is not its folder's; it is known as %q", name, s.Name)
	case len(name) > 64 || !skillName.MatchString(name):
		l.warn(n.at("name"), "", "%q is not a name by the Agent Skills specification: use up to 64 lower-case letters, digits and single hyphens", name)
	}
	s.Description = oneLine(text("description"))
	if s.Description == "" {
		l.error(n.at("description"), "say what it is for and when to use it: agents choose by it", "the skill has no description")
	}
	for field, limit := range map[string]int{"description": maxSkillDescription, "compatibility": maxSkillCompatibility} {
		if utf8.RuneCountInString(text(field)) > limit {
			l.warn(n.at(field), "", "%q is longer than %d characters", field, limit)
		}
	}
	if v := n.get("allowed-tools"); v != nil && v.kind == listNode {
		l.warn(v, "", `"allowed-tools" wants text with spaces between the tools, not a list`)
	}
	if v := n.get("metadata"); v != nil && v.kind != nullNode {
		if v.kind != objectNode {
			l.warn(v, "", `"metadata" wants a map, not %s`, v.describe())
		}
		for _, f := range v.fields {
			if _, ok := f.value.value.(string); !ok {
				l.warn(f.value, "", "metadata %q wants text, not %s", f.name, f.value.describe())
			}
		}
	}
}
