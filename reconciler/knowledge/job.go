package knowledge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/ingest"
	"github.com/mainstay-dev/mainstay/reconciler/knowledge/past"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// job brings one source to what it is now.
type job struct {
	*Keeper
	engine kb.Engine
	source *spec.KnowledgeSource
	here   Here
	// was is the state that the engine has of it.
	was  string
	tell func(done, of int)
	// mute is why the source has no vectors yet, where its words are found without.
	mute error
	// probe says that the length of what the model makes now is looked at first.
	probe bool
	// past has the runs, while a history is looked at.
	past Past
}

// unavailable is the error of something that cannot be reached now.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// indexError is the error of the engine.
type indexError struct{ error }

func (e indexError) Unwrap() error { return e.error }

// reason is that of an error: it is the source's, or a model's, unless the engine says that it is its own.
func reason(err error) string {
	var source unavailable
	var index indexError
	if errors.As(err, &index) && !errors.As(index.error, &source) {
		return IndexFailed
	}
	return SourceUnavailable
}

// byWords ends the state of a source that has no vectors, and is to have some.
const byWords = " words"

// worded reports whether there is no vector of the source yet.
func (j *job) worded() bool { return j.was == "" || strings.HasSuffix(j.was, byWords) }

// write brings the engine to another state. Where there is no vector of the source and its model does not answer, its words are found until
// it does. Where the model makes vectors of another length than it did, those that there are go, and all are made again.
func (j *job) write(ctx context.Context, u kb.Update) error {
	words := u
	words.Embed, words.Space, words.To = nil, "", u.To+byWords
	if j.worded() && u.Embed != nil {
		if _, err := u.Embed(ctx, []string{j.source.Name}); err != nil && ctx.Err() == nil {
			j.mute = err
			return j.bringTo(ctx, words)
		}
	}
	err := j.bringTo(ctx, u)
	length, differs := errors.AsType[*kb.LengthError](err)
	if !differs {
		return err
	}
	first := j.differs(j.source.Name) && !j.worded()
	j.mute = length
	if err := j.bringTo(ctx, words); err != nil || !first {
		return err
	}
	u.From, u.Put, u.Removed = words.To, nil, nil
	err = j.bringTo(ctx, u)
	if length, differs := errors.AsType[*kb.LengthError](err); differs {
		j.mute = length
		return nil
	}
	if away, is := errors.AsType[unavailable](err); is {
		j.mute = away.error
		return nil
	}
	j.mute = nil
	return err
}

func (j *job) bringTo(ctx context.Context, u kb.Update) error {
	if err := j.engine.Update(ctx, u); err != nil {
		return indexError{err}
	}
	return nil
}

// measure has the vectors of the source go where its model makes those of another length now, so that all are made again. What else is to
// be done finds that out by itself.
func (j *job) measure(ctx context.Context) error {
	m := j.source.Embed
	if m == nil || j.was == "" || j.was != j.selected(commitOf(j.was)) {
		return nil
	}
	all, err := j.engine.Stats(ctx)
	if err != nil {
		return indexError{err}
	}
	for _, s := range all {
		if s.Source != j.source.Name || s.Space != space(m) || s.Dims == 0 {
			continue
		}
		vector, err := j.vector(ctx, m, j.source.Name)
		if err != nil || len(vector) == s.Dims {
			return ctx.Err() // Whoever searches is told of a model that does not answer.
		}
		to := j.was + byWords
		if err := j.bringTo(ctx, kb.Update{Source: j.source.Name, From: j.was, To: to, Labels: j.source.Spec.Labels, Format: j.format()}); err != nil {
			return err
		}
		j.was = to
	}
	return nil
}

// do returns when the source is to be looked at again.
func (j *job) do(ctx context.Context) (time.Duration, error) {
	if j.probe {
		if err := j.measure(ctx); err != nil {
			return 0, err
		}
	}
	s := j.source.Spec
	switch {
	case s.Files != nil:
		return never, j.commit(ctx, j.here.History, j.here.Commit, *s.Files)
	case s.Git != nil:
		return j.git(ctx, s.Git)
	case s.History != nil:
		return follow, j.history(ctx, s.History)
	default:
		return cmp.Or(time.Duration(s.Web.Refresh), refresh), j.web(ctx, s.Web)
	}
}

// git brings the source to a commit of another repository.
func (j *job) git(ctx context.Context, g *spec.KnowledgeGit) (time.Duration, error) {
	r, err := j.repository(ctx, g)
	if err != nil {
		return 0, err
	}
	if g.Commit != "" {
		if _, err := r.Commit(g.Commit); err != nil {
			if err := r.FetchCommit(ctx, g.Commit); err != nil {
				return 0, fmt.Errorf("commit %s: %w", Short(g.Commit), err)
			}
		}
		return never, j.commit(ctx, r, g.Commit, g.KnowledgeFiles)
	}
	branches, err := r.Fetch(ctx)
	if err != nil {
		return 0, err // It names the URL.
	}
	commit := branches[g.Branch]
	if commit == "" {
		return 0, fmt.Errorf("%s has no branch %q: write another one under spec.git.branch of %s", r.URL(), g.Branch, j.source.Place.File)
	}
	return follow, j.commit(ctx, r, commit, g.KnowledgeFiles)
}

// repository opens the repository of a source.
func (j *job) repository(ctx context.Context, g *spec.KnowledgeGit) (*remote.Remote, error) {
	key := repositoryKey{url: g.URL}
	if g.Credential != nil {
		key.credential = g.Credential.String()
	}
	if r := j.repositories[key]; r != nil {
		return r, nil
	}
	r, err := j.opts.Repository(ctx, g.URL, g.Credential)
	if err != nil {
		return nil, err
	}
	j.repositories[key] = r
	return r, nil
}

// repositoryKey is a repository as a credential shows it: what one may see is nothing for whoever has another.
type repositoryKey struct{ url, credential string }

// selected begins a state with what a source is at, then says how the source is declared, and ends with how documents are read: where
// any of these is another one, so is the state.
func (j *job) selected(at string) string {
	return at + " " + string(j.source.Digest) + " " + j.format()
}

// commitOf is what the source was at in a state.
func commitOf(state string) string {
	at, _, _ := strings.Cut(state, " ")
	return at
}

// update is an update of the source to what it is at now, of which only the files are missing.
func (j *job) update(at string) kb.Update {
	u := kb.Update{Source: j.source.Name, To: j.selected(at), Labels: j.source.Spec.Labels, Format: j.format(), Progress: j.tell}
	if m := j.source.Embed; m != nil {
		u.Space = space(m)
		u.Embed = func(ctx context.Context, texts []string) ([][]float32, error) {
			var vectors [][]float32
			for some := range slices.Chunk(texts, embedded) {
				more, err := j.opts.Embed(ctx, m, some)
				if err != nil {
					return nil, unavailable{err}
				}
				vectors = append(vectors, more...)
			}
			return vectors, nil
		}
	}
	return u
}

// embedded is how many texts a model is given at once.
const embedded = 32

// space identifies what makes vectors.
func space(m *spec.Model) string { return string(m.Digest) + " " + string(m.Pin) }

// cut says how the source's documents are cut.
func (j *job) cut() ingest.Options {
	o := ingest.Options{PDF: j.opts.PDF}
	if c := j.source.Spec.Chunk; c != nil {
		o.Size, o.Overlap = c.Size, c.Overlap
	}
	return o
}

// format identifies how documents are read.
func (j *job) format() string {
	format := j.cut().Format()
	if j.source.Spec.History != nil {
		return past.Format + " " + format
	}
	if j.opts.Render != nil {
		format += " rendered"
	}
	return format
}

// document reads a document.
func (j *job) document(ctx context.Context, path string, content []byte) (kb.Document, error) {
	return asDocument(ingest.Read(ctx, path, content, j.cut()))
}

// asDocument makes of one that is none a document without chunks, and of one that is broken one with a problem besides.
func asDocument(d kb.Document, err error) (kb.Document, error) {
	var broken *ingest.Error
	switch {
	case errors.Is(err, ingest.ErrSkip):
		return kb.Document{}, nil
	case errors.As(err, &broken):
		return kb.Document{Problem: problem(broken)}, nil
	}
	return d, err
}

// problem says what is wrong with a document, without its path: the same content may stand at several.
func problem(e *ingest.Error) string {
	text := fmt.Sprintf("%s (%s)", e.Message, e.Hint)
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	return text
}
