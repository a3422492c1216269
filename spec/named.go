package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// unread is why a file that a resource names cannot be read, and what to do about it.
type unread struct{ summary, hint string }

// named reads a file that a resource names, and at most one byte more than most. No part of its path may be a symbolic link.
// Where there is no such file the hint is another one with a similar name, or else write.
func (l *loader) named(name string, most int64, write string) ([]byte, *unread) {
	for dir, rest, more := "", name, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		dir = path.Join(dir, part)
		info, err := fs.Lstat(l.root, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &unread{"there is no such file", near.Hint(name, l.beside(name), write)}
		case err != nil:
			return nil, &unread{summary: "it cannot be read: " + reason(err)}
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, &unread{dir + " is a symbolic link, and links are never followed", "put here what it points to"}
		case more != info.IsDir() || !more && !info.Mode().IsRegular():
			return nil, &unread{summary: "it is not a regular file"}
		}
	}
	content, err := readAtMost(l.root, name, most)
	if err != nil {
		return nil, &unread{summary: "it cannot be read: " + reason(err)}
	}
	if l.total += len(content); l.total > maxTotal {
		return nil, &unread{summary: fmt.Sprintf("the files are larger than %d MiB together", maxTotal>>20)}
	}
	return content, nil
}

// beside are the files in the folder of a file, for hints.
func (l *loader) beside(name string) []string {
	folder := path.Dir(name)
	entries, _ := fs.ReadDir(l.root, folder)
	var all []string
	for _, e := range entries {
		all = append(all, path.Join(folder, e.Name()))
	}
	return all
}
