// Package knowledge keeps what the declared sources hold in an engine of package kb, and answers from it. It reads the files of this
// repository and of others, the pages of sites, and past runs; what has not changed since is not read again. It works beside whoever asks it,
// one source after another, and says for every source how far it is.
//
// It never changes a source. What a document says is passed on as it is, and counts for nothing here.
package knowledge

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/render"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

// The reasons of a [State], as they stand in conditions.
const (
	// Indexed is a source that is found as it is declared and as it was looked at last.
	Indexed = "Indexed"
	// Indexing is under way.
	Indexing = "Indexing"
	// SourceUnavailable is a repository, a site or a model that cannot be reached or has not what is asked of it. What was known of
	// it stays.
	SourceUnavailable = "SourceUnavailable"
	// IndexFailed is an index that cannot be written.
	IndexFailed = "IndexFailed"
)

// State says how a source is doing.
type State struct {
	Reason string
	// Message is one sentence, which says what to do where something is wrong.
	Message string
	// Commit is what is found of it now: a commit, or when a site or runs were looked at; "" before there is anything.
	Commit string
	// Documents and Chunks count what is found, Unread the documents that could not be read.
	Documents, Chunks, Unread int
	// Problems are the first of those, and why.
	Problems []kb.Problem
	// Done and Of count the files while they are taken in.
	Done, Of int

	// mute says, where words alone are found, until when that is, and unlike that a search says it.
	mute   string
	unlike bool
	// reached is the state of it in an engine that others write to as well, and due is when the source itself is to be looked at again.
	reached string
	due     time.Time
}

// The time after which something is looked at again.
const (
	// refresh is for a site that does not say.
	refresh = 24 * time.Hour
	// follow is for the branch of another repository, for runs, which may be forgotten, and for an engine that others write to as well.
	follow = time.Minute
	// retry is for what failed, doubled each time up to maxRetry.
	retry    = 5 * time.Second
	maxRetry = 10 * time.Minute
)

// Options are what [New] needs. All fields are required, but for PDF, Render, Own, After and Changed.
type Options struct {
	// Engine opens the engine that a fleet declares, when the first source is declared: nil is that of the state folder. Close closes it.
	// here is this repository as it is then.
	Engine func(ctx context.Context, in *spec.Postgres, here Here) (kb.Engine, error)
	// PDF reads a PDF file: its title, and the lines of each page. Nil skips PDF files.
	PDF func(ctx context.Context, content []byte) (title string, pages [][]string, err error)
	// Render renders Helm charts and kustomizations. Nil leaves them as they are written.
	Render *render.Child
	// Embed has a model make vectors of texts.
	Embed func(ctx context.Context, m *spec.Model, texts []string) ([][]float32, error)
	// Ask has a model continue a conversation that has instructions and one message, with JSON of a schema.
	Ask func(ctx context.Context, m *spec.Model, instructions, message string, schema json.RawMessage) (string, error)
	// Repository opens another repository, of which it keeps what it fetches. Close closes it.
	Repository func(ctx context.Context, url string, credential *spec.SecretRef) (*remote.Remote, error)
	// Past opens the runs of the fleet for one look at them, which ends with done; nil are none.
	Past func(ctx context.Context) (runs Past, done func(), err error)
	// Own says that this process keeps these runs itself. Another one leaves a history in a database as the one that does has put it.
	Own bool
	// Client reads sites. It follows no redirect by itself.
	Client *http.Client
	Now    func() time.Time
	// After is time.After where it is nil.
	After func(time.Duration) <-chan time.Time
	// Changed is called when the reason of a source's state is another one, its message of something wrong is, or it has come ten
	// percent further of 200 files or more. May be nil.
	Changed func(source spec.Ref, s State)
}

// Keeper keeps sources. It is safe for concurrent use.
type Keeper struct {
	opts Options

	engines engines
	// repositories are those that were opened; only work uses them.
	repositories map[repositoryKey]*remote.Remote

	graphs graphs
	// finder and shaped are of what is rendered; see shapesOf.
	finder *render.Finder
	shaped *lru.Cache[string, shapes]

	mu      sync.Mutex
	kept    map[string]*kept
	located map[string]located
	here    Here
	in      *spec.Postgres
	keeping bool // Keep was called, so that kept is all that is declared
	opened  bool // the engine is
	stale   bool // something that is not declared any more may still be in the engine
	working bool
	works   sync.WaitGroup
}

// Here is this repository at a revision.
type Here struct {
	Commit string
	// History is where its commits are.
	History History
}

// History has the commits of a repository.
type History interface {
	Snapshot(commit string) (*remote.Snapshot, error)
	FirstParents(from string) iter.Seq2[remote.Commit, error]
}

// kept is one source.
type kept struct {
	source   *spec.KnowledgeSource
	state    State
	next     time.Time
	failures int
	// at is what of this repository it was brought to.
	at string
	// moved says that the index is another one, and what that has of the source has not been looked at yet.
	moved bool
	// again says that what it reads has changed since it was looked at last, or while it was.
	again bool
	// rested is when it may be looked at for that.
	rested time.Time
	// unlike says that a question's vector had another length than those of the source, differed when vectors were found to differ in
	// length last, and differences how often before it was calm.
	unlike      bool
	differed    time.Time
	differences int
	// settled is closed when the state is another one than Indexing.
	settled chan struct{}
}

// New returns a Keeper.
func New(opts Options) *Keeper {
	if opts.After == nil {
		opts.After = time.After
	}
	if opts.Changed == nil {
		opts.Changed = func(spec.Ref, State) {}
	}
	shaped, err := lru.New[string, shapes](maxShapes)
	if err != nil {
		panic(err) // The size is wrong, which is a constant.
	}
	return &Keeper{opts: opts, graphs: newGraphs(), engines: engines{all: map[place]*opening{}, open: opts.Engine}, finder: render.NewFinder(), shaped: shaped, kept: map[string]*kept{}, located: map[string]located{},
		repositories: map[repositoryKey]*remote.Remote{}, stale: true}
}

// Keep looks at the sources that a fleet declares, where it is time to, and returns at once. What it begins ends with ctx. What is not
// declared any more is found no longer.
func (k *Keeper) Keep(ctx context.Context, fleet *spec.Fleet, here Here) {
	k.mu.Lock()
	defer k.mu.Unlock()
	begun := k.keeping
	k.here, k.keeping = here, true
	moved := placeOf(k.in) != placeOf(fleet.KnowledgeIn)
	if k.in = fleet.KnowledgeIn; moved {
		k.stale = true
	}
	for name := range k.kept {
		if fleet.Knowledge[name] == nil {
			if one := k.kept[name]; one.state.Reason == Indexing {
				close(one.settled)
			}
			delete(k.kept, name)
			delete(k.located, name)
			k.stale = true
		}
	}
	for name, source := range fleet.Knowledge {
		one := k.kept[name]
		if one == nil {
			one = &kept{}
			one.indexing("it has not been looked at yet")
			k.kept[name] = one
		}
		if one.source == nil || one.source.Digest != source.Digest || moved || source.Spec.Files != nil && one.at != here.Commit {
			one.next, one.failures = time.Time{}, 0
			one.indexing("it is looked at again")
		}
		one.moved = one.moved || moved && begun
		one.source = source
	}
	if !k.working && (len(k.due()) > 0 || k.rests() > 0 || k.stale && k.opened) { // Work under way finds what has become due.
		k.working = true
		k.works.Go(func() { k.work(ctx) })
	}
}

// backoff is when what has failed is tried again. The caller holds the keeper's mu.
func (one *kept) backoff() time.Duration { return min(retry<<min(one.failures, 10), maxRetry) }

// indexing says that the source is being read. The caller holds the keeper's mu.
func (one *kept) indexing(message string) {
	if one.state.Reason != Indexing {
		one.state.Reason, one.state.Message = Indexing, message
		one.settled = make(chan struct{})
	}
}

// due are the sources that are to be looked at, sorted. The caller holds k.mu.
func (k *Keeper) due() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(k.kept)) {
		if !k.opts.Now().Before(k.kept[name].next) {
			names = append(names, name)
		}
	}
	return names
}

// work looks at what is due, until nothing is.
func (k *Keeper) work(ctx context.Context) {
	forgets := true // until that fails
	for {
		k.mu.Lock()
		due := k.due()
		stale := k.stale && forgets
		if rest := k.rests(); len(due) == 0 && !stale && rest > 0 && ctx.Err() == nil {
			k.mu.Unlock()
			select {
			case <-k.opts.After(rest):
			case <-ctx.Done():
			}
			continue
		}
		if len(due) == 0 && !stale || ctx.Err() != nil {
			k.working = false
			k.mu.Unlock()
			return
		}
		if stale {
			declared := slices.Collect(maps.Keys(k.kept))
			k.stale = false
			k.mu.Unlock()
			forgets = k.Forget(ctx, declared) == nil // Whoever needs the engine says why.
			continue
		}
		one, here, in := k.kept[due[0]], k.here, placeOf(k.in)
		source := one.source
		probe := one.unlike
		one.again, one.unlike = false, false
		k.mu.Unlock()
		began := k.opts.Now()
		s, next := k.bring(ctx, source, here, probe, func(s State) { k.set(source, s) })
		k.mu.Lock()
		one.rested = k.opts.Now().Add(min(restful*k.opts.Now().Sub(began), maxRest))
		current := ctx.Err() == nil && k.kept[source.Name] == one && one.source.Digest == source.Digest && in == placeOf(k.in) &&
			(source.Spec.Files == nil || k.here.Commit == here.Commit)
		news := false
		if current {
			news = k.put(source, s)
			one.at = here.Commit
			if s.Reason == Indexed {
				one.failures = 0
			} else {
				next = one.backoff()
				one.failures++
			}
			one.next = k.opts.Now().Add(next)
			if one.again && one.failures == 0 {
				one.next = one.rested
			}
		}
		k.mu.Unlock()
		if news {
			k.opts.Changed(source.Ref, s)
		}
	}
}

// never is when a source that cannot change is looked at again.
const never = 365 * 24 * time.Hour

// set writes a state down, and tells of it.
func (k *Keeper) set(source *spec.KnowledgeSource, s State) {
	k.mu.Lock()
	news := k.put(source, s)
	k.mu.Unlock()
	if news {
		k.opts.Changed(source.Ref, s)
	}
}

// put writes a state down, and reports whether it is to be told. The caller holds k.mu.
func (k *Keeper) put(source *spec.KnowledgeSource, s State) bool {
	one := k.kept[source.Name]
	if one == nil || one.source.Digest != source.Digest {
		return false
	}
	old := one.state
	if s.Reason == Indexing {
		one.indexing(s.Message)
	}
	one.state, one.moved = s, one.moved && s.Reason == Indexing
	if s.Reason != Indexing && old.Reason == Indexing && one.settled != nil {
		close(one.settled)
	}
	if source.Spec.History != nil && s.Reason == Indexed && old.Reason == Indexed {
		return false // A run has ended, of which others tell.
	}
	further := s.Of >= slow && percent(s)/10 != percent(old)/10
	news := s.Reason != old.Reason || s.Reason != Indexing && s.Reason != SourceUnavailable && s.Message != old.Message
	return news || further
}

// slow is how many files it takes until a source tells how far it is.
const slow = 200

func percent(s State) int {
	if s.Of == 0 {
		return 0
	}
	return 100 * s.Done / s.Of
}

// Wait waits until nothing is under way.
func (k *Keeper) Wait() { k.works.Wait() }

// Busy reports whether anything is under way.
func (k *Keeper) Busy() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.working
}

// State returns how a source is doing; false where it is none that is kept.
func (k *Keeper) State(name string) (State, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.kept[name]
	if one == nil {
		return State{}, false
	}
	return one.state, true
}

// Bring brings one source to what it is now, and returns how it is then. tell hears how far it is. A model is asked whether its vectors are
// as long as they were.
func (k *Keeper) Bring(ctx context.Context, source *spec.KnowledgeSource, here Here, tell func(State)) State {
	k.mu.Lock()
	k.kept[source.Name] = &kept{source: source}
	k.mu.Unlock()
	s, _ := k.bring(ctx, source, here, true, tell)
	k.set(source, s)
	return s
}

// bring does the work on one source, and says when it is to be looked at again.
func (k *Keeper) bring(ctx context.Context, source *spec.KnowledgeSource, here Here, probe bool, tell func(State)) (State, time.Duration) {
	engine, err := k.ready(ctx)
	if err != nil {
		return State{Reason: IndexFailed, Message: "its index cannot be opened: " + err.Error()}, 0
	}
	was, err := engine.State(ctx, source.Name)
	if err != nil {
		return State{Reason: IndexFailed, Message: k.inIndex(err).Error()}, 0
	}
	shared := source.Spec.History == nil && k.shares()
	if is, _ := k.State(source.Name); shared && is.Reason == Indexed && is.reached == was && k.opts.Now().Before(is.due) {
		return is, min(follow, is.due.Sub(k.opts.Now())) // Nobody else has put anything in its place.
	}
	j := &job{Keeper: k, engine: engine, source: source, here: here, was: was, probe: probe}
	j.tell = func(done, of int) {
		tell(State{Reason: Indexing, Message: fmt.Sprintf("%d of %d files are read", done, of), Commit: commitOf(was), Done: done, Of: of})
	}
	next, err := j.do(ctx)
	s := k.described(ctx, engine, source.Name)
	switch {
	case err != nil:
		if s.Reason = reason(err); s.Reason == IndexFailed {
			err = k.inIndex(err)
		}
		s.Message = err.Error()
	case j.mute != nil:
		s.Reason = SourceUnavailable
		s.Message, s.mute = muted(source, j.mute)
	case shared && s.Reason == Indexed:
		if s.reached, err = engine.State(ctx, source.Name); err != nil {
			s.Reason, s.Message = IndexFailed, k.inIndex(err).Error()
		}
		s.due, next = k.opts.Now().Add(next), min(next, follow)
	}
	return s, next
}

// described is how a source is doing where nothing is wrong.
func (k *Keeper) described(ctx context.Context, engine kb.Engine, name string) State {
	s := State{Reason: Indexed}
	all, err := engine.Stats(ctx)
	if err != nil {
		return State{Reason: IndexFailed, Message: k.inIndex(err).Error()}
	}
	for _, stats := range all {
		if stats.Source == name {
			s.Commit, s.Documents, s.Chunks = commitOf(stats.State), stats.Documents, stats.Chunks
			s.Unread, s.Problems = stats.Unread, stats.Problems
		}
	}
	s.Message = s.Found()
	if s.Unread > 0 {
		s.Message += fmt.Sprintf("; %d could not be read, such as %s: %s", s.Unread, s.Problems[0].Path, s.Problems[0].Text)
	}
	return s
}

// Found says what is found of the source, in words.
func (s State) Found() string {
	count := func(n int, noun string) string {
		if n != 1 {
			noun += "s"
		}
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%s in %s at %s", count(s.Documents, "document"), count(s.Chunks, "chunk"), Short(s.Commit))
}

// Short is a commit as people write it.
func Short(commit string) string {
	if len(commit) == 40 {
		return commit[:7]
	}
	return commit
}
