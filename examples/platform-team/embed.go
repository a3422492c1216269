// Package platformteam is the example spec repository of a platform team: most kinds and every way to write a resource, as
// a team would use them. It keeps the files and nothing else.
package platformteam

import (
	"embed"
	"io/fs"
)

// Go code and what tests compare with are no part of the spec repository, so the folders are named one by one; a test finds
// a forgotten one.
//
//go:embed README.md mainstay.yaml agents changes docs evaluations knowledge manifests models overlays personas policies prompts
//go:embed reports skills tools triggers workflows
var files embed.FS

// Files returns the spec repository as it stands in this folder, without Go code.
func Files() fs.FS { return files }
