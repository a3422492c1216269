package broker

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

const (
	// maxFile bounds a file that an agent reads, in bytes.
	maxFile = 512 << 10
	// maxListed bounds the paths of one listing.
	maxListed = 1000
	// maxPath bounds a path, in bytes, and maxName a name in it, as file systems do.
	maxPath = 1024
	maxName = 255
)

// files returns the repository as the run sees it.
func (b *Broker) files(revision spec.Revision) (fs.FS, error) {
	files, err := b.opts.Files(revision)
	if err != nil {
		return nil, &Unavailable{What: "files at " + revision.Short(), Err: err}
	}
	return files, nil
}

// listFiles serves repo__list: {"files": [{"path"}], "more"}; more says that there are more than are listed.
func (b *Broker) listFiles(c toolCall) (Reply, error) {
	var args struct {
		Glob string `json:"glob"`
	}
	if err := c.decode(&args); err != nil {
		return Reply{}, err
	}
	if args.Glob == "" {
		args.Glob = "**"
	}
	globs, err := plainGlobs([]string{args.Glob})
	if err != nil {
		return Reply{}, err
	}
	files, err := b.files(c.Task.Revision)
	if err != nil {
		return Reply{}, err
	}
	paths, more := []string{}, false
	for _, glob := range c.Agent.ReadPaths {
		err := doublestar.GlobWalk(files, glob, func(name string, d fs.DirEntry) error {
			if !matchesAny(globs, name) || !d.Type().IsRegular() || slices.Contains(paths, name) {
				return nil
			}
			if len(paths) == maxListed {
				more = true
				return fs.SkipAll
			}
			paths = append(paths, name)
			return nil
		}, doublestar.WithNoFollow(), doublestar.WithFilesOnly(), doublestar.WithFailOnIOErrors())
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.SkipAll) {
			return Reply{}, &Unavailable{What: "files at " + c.Task.Revision.Short(), Err: err}
		}
	}
	slices.Sort(paths)
	listed := make([]map[string]string, len(paths))
	for i, name := range paths {
		listed[i] = map[string]string{"path": name}
	}
	return b.structured(map[string]any{"files": listed, "more": more})
}

// readFile serves repo__read: {"path", "text"}.
func (b *Broker) readFile(c toolCall) (Reply, error) {
	var args struct {
		Path string `json:"path"`
	}
	if err := c.decode(&args); err != nil {
		return Reply{}, err
	}
	if err := checkPath(args.Path); err != nil {
		return Reply{}, err
	}
	if !matchesAny(c.Agent.ReadPaths, args.Path) {
		return Reply{}, refuse("agent %q may not read %q: its spec lets it read %s", c.Agent.Name, args.Path, strings.Join(c.Agent.ReadPaths, ", "))
	}
	files, err := b.files(c.Task.Revision)
	if err != nil {
		return Reply{}, err
	}
	content, err := readRegular(files, args.Path, c.Task.Revision)
	if errors.Is(err, fs.ErrNotExist) {
		return Reply{}, refuse("there is no file %q at %s", args.Path, c.Task.Revision.Short())
	}
	if err != nil {
		return Reply{}, err
	}
	if err := checkText(args.Path, content); err != nil {
		return Reply{}, err
	}
	return b.structured(map[string]string{"path": args.Path, "text": string(content)})
}

// readSkill serves skills__read with the file's text.
func (b *Broker) readSkill(c toolCall) (Reply, error) {
	args := struct {
		Name string `json:"name"`
		Path string `json:"path"`
	}{Path: "SKILL.md"}
	if err := c.decode(&args); err != nil {
		return Reply{}, err
	}
	var names []string
	for _, skill := range c.Agent.Skills {
		names = append(names, skill.Name)
		if skill.Name != args.Name {
			continue
		}
		content, ok := skill.Files[args.Path]
		if !ok {
			return Reply{}, refuse("skill %q has no file %q", args.Name, args.Path)
		}
		if err := checkText(args.Path, content); err != nil {
			return Reply{}, err
		}
		return b.result(plugins.ToolResult{Text: string(content)})
	}
	return Reply{}, refuse("agent %q has no skill %q: it has %s", c.Agent.Name, args.Name, strings.Join(names, ", "))
}

// checkPath refuses what is not a plain path inside the repository.
func checkPath(name string) error {
	if len(name) > maxPath {
		return refuse("the path %.100q is %d bytes long, at most %d are allowed", name, len(name), maxPath)
	}
	if !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return refuse("%.100q is not a path inside the repository: use a path from its root, such as manifests/web.yaml", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName {
			return refuse("a name in the path %.100q is %d bytes long, at most %d are allowed", name, len(part), maxName)
		}
		if strings.EqualFold(part, ".git") {
			return refuse("%q is not a path inside the repository: .git is not part of it", name)
		}
	}
	return nil
}

func checkText(name string, content []byte) error {
	if len(content) > maxFile {
		return refuse("%q is %d bytes long, at most %d can be read", name, len(content), maxFile)
	}
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return refuse("%q is not a text file", name)
	}
	return nil
}

// readRegular reads a file and follows no link, neither the file itself nor a folder above it. The error is
// fs.ErrNotExist where there is nothing, and else a refusal or an [*Unavailable].
func readRegular(files fs.FS, name string, revision spec.Revision) ([]byte, error) {
	var info fs.FileInfo
	for end := 0; end < len(name); end++ {
		if next := strings.IndexByte(name[end:], '/'); next >= 0 {
			end += next
		} else {
			end = len(name)
		}
		var err error
		info, err = fs.Lstat(files, name[:end])
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil {
			return nil, &Unavailable{What: "files at " + revision.Short(), Err: err}
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, refuse("%q is a symbolic link, and links are not followed", name[:end])
		}
		if end < len(name) && !info.IsDir() {
			return nil, refuse("%q is not a folder", name[:end])
		}
	}
	if !info.Mode().IsRegular() {
		return nil, refuse("%q is not a file", path.Clean(name))
	}
	if info.Size() > 16*maxFile {
		return nil, refuse("%q is %d bytes long, which is too long", name, info.Size())
	}
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, &Unavailable{What: "files at " + revision.Short(), Err: err}
	}
	return content, nil
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		matches, err := doublestar.Match(glob, name)
		return err == nil && matches
	})
}
