package graph

// Answer is what a question found.
type Answer struct {
	// Of are the entities that were asked about.
	Of []Node `json:"of"`
	// Found are the entities found, the nearest first, and else sorted.
	Found []Found `json:"found"`
	// Edges are relations that lead to them, in order.
	Edges []Edge `json:"edges"`
	// LeftOut is how many more there are, which the question's limit left out.
	LeftOut int `json:"leftOut,omitempty"`
}

// Found is an entity that was found.
type Found struct {
	Node Node `json:"node"`
	// Depth is how many relations away it is from what was asked about.
	Depth int `json:"depth"`
	// Declared are the places that declare it, sorted; a folder is its own. There are none where no file of the graph does.
	Declared []Place `json:"declared,omitempty"`
}

// Place is in a file.
type Place struct {
	File string `json:"file"`
	// First and Last are lines, from 1. Both are 0 for a whole file or folder.
	First int `json:"first,omitempty"`
	Last  int `json:"last,omitempty"`
}

// Bounds of questions.
const (
	MaxDepth = 64     // The farthest that is looked.
	MaxFound = 10_000 // The most that an answer tells.
)

// atMost is how many entities a question may tell that wants as many.
func atMost(most int) int { return max(0, min(most, MaxFound)) }
