// Package graph says how what a repository declares hangs together: which entities there are, and how each relates to others. It takes
// that from what declares it, and asks no model: Backstage's catalog, Kubernetes manifests, Argo CD and Flux, kustomizations, Helm charts
// and values, Dockerfiles, Compose files, Terraform, GitHub workflows and CODEOWNERS. What nothing of these declares can be said in a file of
// its own; see declared.go.
//
// Extract is a function of a file's path and bytes to what that file declares, its Facts. A Graph is the union of the facts of files: to
// put or remove one costs what that file has. References are resolved when a question is asked, so that it does not matter which file
// came first:
//
//   - by name, where kind and name are those of a declared entity; a namespace that is not written fits any, if only one is declared
//   - by labels, as Services and policies select pods
//   - by path, to a file or to a folder, which stands for its kustomization.yaml or Chart.yaml or else for what is in it
//   - by the host of a URL or an address in an environment variable, where a Service of that name is declared
//
// What is referred to and not declared is in the graph too: it is somewhere else.
//
// Templates of Helm are not read, since they are no YAML before they are rendered: Facts say so. ExtractRendered takes what package render
// makes of a chart or a kustomization, and says of each entity and relation where in the template or kustomization it comes from. Values of Secrets are never taken, and
// neither are those of environment variables, but for the names of Services in them.
package graph
