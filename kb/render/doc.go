// Package render finds the Helm charts and kustomizations of a commit, and renders them: without a cluster, a network, a program, or any
// file that is not of the commit.
//
// A [Unit] is a chart that is no part of another one, or a kustomization that no other one builds upon. It is known by a digest over all
// that it may read, so that what did not change is not rendered again. It shapes the documents of some files: a chart its templates, a
// kustomization its own file. What comes of it is cited as these.
//
//   - A chart is rendered with its own values.yaml, as a release of its own name in the namespace default. Charts in its folder charts are
//     part of it, and so are those of the same repository that its Chart.yaml names by a path. What is random or the time is the same each time.
//   - A kustomization is built without a limit on where in the commit it may read, as Flux does. What is not here, remote bases and Helm
//     charts, is left out and told. Names have no hash of the content behind them: that of a Secret would tell something of it.
//     An object that is as it is written in a file is left out, since it is found there.
//
// Templates can loop without end, and so both are done in a process of their own: package child says how it is bounded.
package render

import (
	"strings"

	"github.com/mainstay-dev/mainstay/kb"
)

// version counts the changes after which something else is rendered of the same files.
const version = 2

// Limits of a unit, and of all of them.
const (
	// maxUnits is how many units there are of a commit, at most.
	maxUnits = 5_000
	// maxFiles is how many files a unit reads, and maxBytes how long they are together, in bytes.
	maxFiles = 5_000
	maxBytes = 32 << 20
	// maxText is how much text is rendered of a unit, in bytes, and maxObjects how many objects.
	maxText    = 16 << 20
	maxObjects = 10_000
	// maxProblems is how many problems are told of a unit, and maxProblem how long one is, in bytes.
	maxProblems = 5
	maxProblem  = 300
	// maxDepth is how deep charts that are named by paths are in one another.
	maxDepth = 8
)

// Output is what a unit renders to.
type Output struct {
	// Objects are the resources, by the path of the file that they are cited as.
	Objects map[string][]kb.Rendered
	// Problems say, for people, what is wrong with the unit, and Lacks what it is rendered without, since that is right and is not here: a
	// remote base, a chart that is not vendored. There may be objects besides.
	Problems, Lacks []string
}

// kinds of units.
const (
	helm      = "helm"
	kustomize = "kustomize"
)

// request is what the process of its own is asked.
type request struct {
	Kind string
	// Head is the Chart.yaml or kustomization file, and Files are those that may be read, both by their names in the build: for a chart
	// from its folder, for a kustomization from the root of the repository.
	Head  string
	Files map[string][]byte
}

// answer is what it answers: objects by the names of files in the build.
type answer struct {
	Objects         map[string][]kb.Rendered
	Problems, Lacks []string
}

// problem adds one, as long as there is room.
func (a *answer) problem(text string) { add(&a.Problems, text) }

// lacks adds what the unit is rendered without.
func (a *answer) lacks(text string) { add(&a.Lacks, text) }

// add adds what is told to a list. Of a long text the beginning and the end are told: they nest, and the reason is the last.
func add(all *[]string, text string) {
	if n := len(text); n > maxProblem {
		text = strings.ToValidUTF8(text[:maxProblem/3], "") + " … " + strings.ToValidUTF8(text[n-maxProblem*2/3:], "")
	}
	if len(*all) < 100 { // They are sorted before the first are told.
		*all = append(*all, text)
	}
}
