// Package schemas holds what other tools read of the spec language: a JSON Schema and a CustomResourceDefinition for each
// kind. All are made from package spec, from its types, their rules and their comments; `go generate ./schemas` makes them
// again, and a test finds those that are stale.
//
// The JSON Schemas are of draft 7, which is the newest one that editors' YAML support reads without gaps. They describe a
// resource's form, as the loader checks it before it looks at what is named and meant. How long a duration may be is the
// only rule of form that JSON Schema cannot say.
package schemas

import (
	"embed"
	"path"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

//go:generate go run ./generate

//go:embed json crds
var files embed.FS

// All is the name of the schema of a resource of any kind.
const All = "all"

// JSON returns the JSON Schema of a kind, or of any kind for [All]. It is false for what is no kind that a file declares.
func JSON(kind string) ([]byte, bool) {
	raw, err := files.ReadFile("json/" + strings.ToLower(kind) + ".json")
	return raw, err == nil
}

// FrontMatter returns the JSON Schema of the front matter of a Markdown file that declares a kind.
func FrontMatter(kind spec.Kind) ([]byte, bool) {
	raw, err := files.ReadFile("json/" + strings.ToLower(string(kind)) + ".frontmatter.json")
	return raw, err == nil
}

// CRD returns the CustomResourceDefinition of a kind as YAML.
func CRD(kind spec.Kind) ([]byte, bool) {
	raw, err := files.ReadFile("crds/" + Plural(kind) + ".mainstay.dev.yaml")
	return raw, err == nil
}

// Plural is a kind's name in lower case and in the plural, as in URLs of a Kubernetes API.
func Plural(kind spec.Kind) string {
	name := strings.ToLower(string(kind))
	if stem, ok := strings.CutSuffix(name, "y"); ok {
		return stem + "ies"
	}
	return name + "s"
}

// Kinds are the kinds that there are schemas of, sorted.
func Kinds() []spec.Kind {
	var all []spec.Kind
	for kind := range spec.Written {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}

// Files returns all files by their names: `json/agent.json`, `crds/agents.mainstay.dev.yaml`.
func Files() map[string][]byte {
	all := map[string][]byte{}
	for _, dir := range []string{"json", "crds"} {
		entries, _ := files.ReadDir(dir) // It is embedded.
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			all[name], _ = files.ReadFile(name)
		}
	}
	return all
}
