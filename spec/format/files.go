package format

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// rootFile is the file that makes a folder the root of a spec repository.
var rootFile = spec.FileOf(spec.Ref{Kind: spec.KindFleet})

// extensions are those of the files that are formatted.
var extensions = []string{".yaml", ".yml", ".json", ".jsonnet", ".libsonnet", ".md"}

// Files returns the files beneath root that are formatted, sorted: mainstay.yaml and the resources in its folders. Actions,
// skills, READMEs, hidden files and whatever is no regular file are left out.
func Files(root fs.FS) ([]string, error) {
	var names []string
	if info, err := fs.Lstat(root, rootFile); err == nil && info.Mode().IsRegular() {
		names = append(names, rootFile)
	}
	for _, folder := range spec.Folders() {
		if info, err := fs.Lstat(root, folder); err != nil || !info.IsDir() {
			continue // It is not there, or a link.
		}
		err := fs.WalkDir(root, folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				if strings.HasPrefix(d.Name(), ".") || isSkill(root, name) {
					return fs.SkipDir
				}
			case d.Type().IsRegular() && why(name) == "":
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return names, nil
}

// Check returns why a file beneath root is never formatted, or nil.
func Check(root fs.FS, name string) error {
	if reason := why(name); reason != "" {
		return errors.New(reason)
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		info, err := fs.Lstat(root, dir)
		switch {
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a symbolic link, and links are never followed", dir)
		case dir == name && !info.Mode().IsRegular():
			return errors.New("it is not a regular file")
		case dir != name && isSkill(root, dir):
			return errors.New("it belongs to a skill, which is what its files are, to the byte")
		}
	}
	return nil
}

// why returns by its name alone why a file is never formatted, or "".
func why(name string) string {
	top, _, inside := strings.Cut(name, "/")
	switch {
	case name == rootFile:
		return ""
	case !inside || !slices.Contains(spec.Folders(), top):
		return "it is no resource: those are " + rootFile + " and the files in " + strings.Join(spec.Folders(), "/, ") + "/"
	case top == "actions":
		return "an Action is approved as it stands, and never formatted"
	case strings.EqualFold(path.Base(name), "README.md"):
		return "it is no resource but a README"
	case slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.HasPrefix(part, ".") }):
		return "it is hidden, and so no resource"
	case top == "skills" && path.Ext(name) == ".md":
		return "it belongs to a skill, which is what its files are, to the byte"
	case !Known(name):
		return "it is no resource: those are written as " + strings.Join(extensions, ", ")
	}
	return ""
}

// isSkill reports whether a folder is a skill.
func isSkill(root fs.FS, name string) bool {
	if top, _, _ := strings.Cut(name, "/"); top != "skills" {
		return false
	}
	_, err := fs.Lstat(root, path.Join(name, "SKILL.md"))
	return err == nil
}

// Known reports whether files of that name's extension are formatted.
func Known(name string) bool { return slices.Contains(extensions, path.Ext(name)) }
