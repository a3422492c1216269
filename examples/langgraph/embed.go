// Package langgraph is the example of an agent that is a graph of LangGraph.js. It keeps the files and nothing else.
package langgraph

import (
	"embed"
	"io/fs"
)

// What npm leaves in graph/ is no part of the example, so its files are named; a test finds a forgotten one.
//
//go:embed README.md mainstay.yaml agents models tools triggers
//go:embed graph/.npmrc graph/package.json graph/package-lock.json graph/tsconfig.json graph/src
var files embed.FS

// Files returns the spec repository as it stands in this folder, with the source of the graph.
func Files() fs.FS { return files }
