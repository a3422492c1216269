package ingest

import (
	"path"
	"strings"
)

// form is how a file is read.
type form int

const (
	formText form = iota
	formMarkdown
	formAgents
	formOwners
	formHTML
	formPDF
	formDOCX
	formYAML // and JSON: OpenAPI, manifests, catalogs, and settings of all kinds
	formTerraform
	formGo
	formCode
)

// forms are those of the extensions, in lower case. Those of code are in languages.go.
var forms = map[string]form{
	".md": formMarkdown, ".markdown": formMarkdown, ".mdown": formMarkdown, ".mdx": formMarkdown, ".mkd": formMarkdown,
	".html": formHTML, ".htm": formHTML, ".xhtml": formHTML,
	".pdf": formPDF, ".docx": formDOCX,
	".yaml": formYAML, ".yml": formYAML, ".json": formYAML, ".jsonc": formYAML, ".json5": formYAML,
	".tf": formTerraform, ".tfvars": formTerraform, ".hcl": formTerraform, ".tofu": formTerraform,
	".go": formGo,
}

// formOf tells by its path how a file is read.
func formOf(name string) form {
	base := path.Base(name)
	switch strings.ToLower(base) {
	case "agents.md":
		return formAgents
	case "codeowners":
		return formOwners
	}
	if f, ok := forms[strings.ToLower(path.Ext(base))]; ok {
		return f
	}
	if byPath(base) != nil {
		return formCode
	}
	return formText
}
