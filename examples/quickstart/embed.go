// Package quickstart is the example spec repository that `mainstay demo` seeds a Git remote with. It keeps the files and
// nothing else: the simulated cluster of the example is in package cluster.
package quickstart

import (
	"embed"
	"io/fs"
)

// Go code is no part of the spec repository, so the folders are named one by one; a test finds a forgotten one.
//
//go:embed README.md mainstay.yaml agents manifests models personas policies skills tools triggers
var files embed.FS

// Files returns the spec repository as it stands in this folder, without Go code.
func Files() fs.FS { return files }
