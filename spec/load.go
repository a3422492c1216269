package spec

import (
	"io/fs"
)

// LoadOptions changes how [Load] reads. The zero value is what every command uses.
type LoadOptions struct{}

// Load reads, checks and resolves all that root declares, where root is the folder that holds mainstay.yaml.
func Load(root fs.FS, opts LoadOptions) (*Fleet, Problems) {
	return nil, Problems{{Severity: SeverityError, Summary: "loading is being built"}}
}
