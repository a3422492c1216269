package graph

import (
	"bytes"
	"path"
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
)

// reader is how a file is read.
type reader func(*collector, []byte)

// readerOf returns how the file at a path is read, or nil for one that declares nothing.
func readerOf(name string) reader {
	base, lower := path.Base(name), strings.ToLower(path.Base(name))
	switch {
	case base == "CODEOWNERS":
		return readCodeowners
	case lower == "dockerfile", strings.HasPrefix(lower, "dockerfile."), strings.HasSuffix(lower, ".dockerfile"), lower == "containerfile":
		return readDockerfile
	case strings.HasSuffix(lower, ".tf"), strings.HasSuffix(lower, ".tofu"):
		return readTerraform
	case strings.HasSuffix(lower, ".yaml"), strings.HasSuffix(lower, ".yml"), base == "Kustomization":
		return readYAML
	}
	return nil
}

// Reads reports whether Extract finds anything in files at this path.
func Reads(name string) bool { return readerOf(name) != nil }

// Extract returns what a file declares. It depends on nothing but its arguments. The path is from the root of the repository, with
// slashes. A file that cannot be read, or not whole, has Problems and what was understood of it.
func Extract(name string, data []byte) (facts Facts) {
	c := &collector{Facts: Facts{Path: name}}
	read := readerOf(name)
	if read == nil {
		return c.Facts
	}
	if len(data) > MaxFile {
		c.problem(1, "the file has %d bytes, and no more than %d are read: split it, or leave it out of the paths", len(data), MaxFile)
		return c.Facts
	}
	if bytes.IndexByte(data, 0) >= 0 {
		c.problem(1, "the file is no text")
		return c.Facts
	}
	// The parsers are not ours. One that fails on what somebody wrote takes that file with it, and no other.
	defer func() {
		if r := recover(); r != nil {
			c.problem(1, "the file cannot be read: %v", r)
			facts = c.facts()
		}
	}()
	read(c, []byte(kb.LineFeeds(string(data))))
	return c.facts()
}

// file is the node of the file that is read.
func (c *collector) file() Node { return Node{Kind: KindPath, Name: c.Path} }

// beside is the node of a path that is written relative to the file's folder. It has no name if it leads out of the repository.
func (c *collector) beside(relative string) Node { return within(path.Dir(c.Path), relative) }

// within is the node of a path relative to a folder of the repository.
func within(folder, relative string) Node {
	if relative == "" || strings.HasPrefix(relative, "/") {
		return Node{}
	}
	joined := path.Join(folder, relative)
	if joined == ".." || strings.HasPrefix(joined, "../") {
		return Node{}
	}
	return Node{Kind: KindPath, Name: joined}
}
