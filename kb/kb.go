// Package kb says what knowledge is: documents of sources, the chunks they are cut into, and what an engine that keeps and finds them
// does. It does nothing itself. Package ingest makes documents of files; engines are beneath this folder.
package kb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// Kind is what a document is.
type Kind string

// The kinds of documents.
const (
	KindMarkdown  Kind = "markdown"
	KindText      Kind = "text"
	KindHTML      Kind = "html"
	KindPDF       Kind = "pdf"
	KindDOCX      Kind = "docx"
	KindOpenAPI   Kind = "openapi"
	KindCode      Kind = "code"
	KindManifest  Kind = "manifest" // Kubernetes resources, as written or as a Helm chart or a kustomization renders them.
	KindTerraform Kind = "terraform"
	KindCatalog   Kind = "catalog" // Backstage's catalog-info.yaml.
	KindOwners    Kind = "owners"  // CODEOWNERS.
	KindAgents    Kind = "agents"  // AGENTS.md.
	KindRun       Kind = "run"     // A run of the fleet, or a proposal.
)

// Kinds are all of them, sorted.
var Kinds = []Kind{
	KindAgents, KindCatalog, KindCode, KindDOCX, KindHTML, KindManifest, KindMarkdown, KindOpenAPI, KindOwners, KindPDF, KindRun, KindTerraform,
	KindText,
}

// Document is a file of a source, cut into chunks.
type Document struct {
	Kind Kind
	// Title is what the document calls itself; empty where it does not.
	Title  string
	Chunks []Chunk
	// Problem says, for people, why a document that could not be read has no chunks, or why what it renders to is not whole.
	Problem string
}

// Chunk is a piece of a document that is found and cited as one.
type Chunk struct {
	// Heading are the headings it stands beneath, the outermost first; for code its declaration.
	Heading []string
	// First and Last are its lines in the document as it is written, from 1. In a PDF they are pages. Both are 0 where the
	// document has neither.
	First, Last int
	Text        string
}

// File is a document as a source lists it.
type File struct {
	// Path is the path from the source's root, with slashes, or the page's URL.
	Path string
	// Blob identifies the content: where two are equal, so are the contents. In Git it is the blob's id.
	Blob string
	// Time is when the content was last changed; zero where that is not known.
	Time time.Time
}

// Update brings a source from one state to the next.
type Update struct {
	Source string
	// From is the state the update begins with, as State told it: an engine that is in another one refuses the update with
	// ErrState. Empty means all that the source has is in Put, whatever the engine had of it.
	From string
	// To is the state that is reached: a commit id, or what else the source is known by.
	To string
	// Labels are the source's. They belong to all of its documents.
	Labels map[string]string
	// Removed are paths of files that are gone. Put are the files that are new or have changed.
	Removed []string
	Put     []File
	// Read reads a file. It is called only for contents that the engine does not hold already for this source and Format, for one file at a time.
	// An error ends the update and leaves the engine as it was; a document that cannot be understood has no chunks instead.
	Read func(context.Context, File) (Document, error)
	// Format identifies how documents are read: what was read in another format is read again.
	Format string
	// Embed makes vectors of texts, and Space identifies what makes them. Vectors of another space are made again. Where it is
	// nil, there are none. Where it makes vectors of another length than those that stay have, or of different ones, the update ends with a
	// *LengthError: one without Embed before it makes room for them.
	Embed Embedder
	Space string
	// Progress hears how many of the files have been taken in; it may be nil.
	Progress func(done, of int)
}

// Check says what keeps an update from being one.
func (u Update) Check() error {
	if u.Source == "" || u.To == "" {
		return errors.New("an update names a source and the state that is reached")
	}
	for _, name := range append(slices.Collect(maps.Keys(u.Labels)), u.Source, u.To, u.Format, u.Space) {
		if !utf8.ValidString(name) || !utf8.ValidString(u.Labels[name]) {
			return fmt.Errorf("the name %q is not UTF-8", name)
		}
	}
	return nil
}

// Embedder makes a vector of each text, in the same order and all of the same length.
type Embedder func(ctx context.Context, texts []string) ([][]float32, error)

// Query asks an engine.
type Query struct {
	Text string
	// Sources are the sources that are searched. What others have is not even counted: it shapes neither hits nor their scores.
	Sources []string
	Filter  Filter
	// Vectors are the text's, by the Space of the sources they are for. Sources of other spaces are searched without, and so are those whose
	// vectors have another length.
	Vectors map[string][]float32
	// Without hears, before Search returns, of each source whose vectors have another length. May be nil.
	Without func(source string)
	// WordsOnly ranks by words alone, without meaning.
	WordsOnly bool
	// Most is how many hits are wanted, at most MaxHits.
	Most int
}

// MaxHits bounds Query.Most.
const MaxHits = 1000

// Filter says which documents are searched. Its fields all have to hold; empty ones always do.
type Filter struct {
	// Paths are doublestar globs; one has to match.
	Paths []string
	// Kinds are the kinds that are wanted.
	Kinds []Kind
	// Labels are labels that the source has, with these values.
	Labels map[string]string
	// Since and Before bound the time at which the document was last changed. Documents without a time are outside of both.
	Since, Before time.Time
}

// Shows reports whether a filter lets a document of this kind through, as far as the document says. Paths have to be globs.
func (f Filter) Shows(file File, kind Kind) bool {
	switch {
	case len(f.Kinds) > 0 && !slices.Contains(f.Kinds, kind):
	case !f.Since.IsZero() && (file.Time.IsZero() || file.Time.Before(f.Since)):
	case !f.Before.IsZero() && (file.Time.IsZero() || !file.Time.Before(f.Before)):
	case len(f.Paths) > 0 && !slices.ContainsFunc(f.Paths, func(glob string) bool { return doublestar.MatchUnvalidated(glob, file.Path) }):
	default:
		return true
	}
	return false
}

// Hit is a chunk that was found.
type Hit struct {
	Source string
	// State is the source's: the commit that the lines are those of.
	State string
	File  File
	Kind  Kind
	Title string
	Chunk
	// Score is for comparing the hits of one query, from 0 to 1.
	Score float64
}

// Stats is what an engine has of a source.
type Stats struct {
	Source, State, Format, Space string
	// Documents and Chunks count what can be found, Bytes is the length of its text, Vectors how many chunks have one.
	Documents, Chunks, Vectors int
	Bytes                      int64
	// Dims is how many numbers each vector has; 0 where there is none.
	Dims int
	// Problems are the documents that could not be read, sorted by path, the first MaxProblems; Unread counts all of them.
	Problems []Problem
	Unread   int
	// Disk is what the source takes where the engine keeps it, in bytes; 0 where that is not known.
	Disk int64
}

// MaxProblems bounds Stats.Problems.
const MaxProblems = 100

// Problem is a document that could not be read.
type Problem struct{ Path, Text string }

// Engine keeps documents and finds them. It is safe for concurrent use.
type Engine interface {
	// Update brings a source to another state, whole or not at all. A search meets either the former state or the new one.
	Update(context.Context, Update) error
	// State is the state a source is in, empty where the engine has nothing of it.
	State(ctx context.Context, source string) (string, error)
	// Files are the files of a source, sorted by path.
	Files(ctx context.Context, source string) ([]File, error)
	// Search returns the chunks a query is about, the best ones first. Where several sources hold the same content at the same
	// path, it is told once for each.
	Search(context.Context, Query) ([]Hit, error)
	// Document returns a document of a source. It is ErrNotFound where there is none.
	Document(ctx context.Context, source, path string) (File, Document, error)
	// Stats are those of all sources, sorted by source.
	Stats(context.Context) ([]Stats, error)
	// Forget removes a source. It is no error where there is none.
	Forget(ctx context.Context, source string) error
	Close() error
}
