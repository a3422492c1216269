// Package cluster is a small simulated Kubernetes cluster that speaks MCP: what the quickstart's agent looks at and, once
// a person agreed, changes. It keeps its state in one JSON file, which any number of server processes may share: an
// update holds a file lock and replaces the file in one step, so that none is lost. It never starts a container and
// knows nothing of Mainstay beyond the key of one metadata field.
package cluster
