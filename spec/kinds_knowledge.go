package spec

import (
	"slices"

	"github.com/bmatcuk/doublestar/v4"
)

// KnowledgeSourceSpec declares documents that agents may search. Exactly one of Files, Git, Web and History is set.
type KnowledgeSourceSpec struct {
	// Description is one sentence for people and for agents.
	Description string `json:"description,omitempty" check:"max=1000"`
	// Files are files of this repository.
	Files *KnowledgeFiles `json:"files,omitempty"`
	// Git are files of another repository.
	Git *KnowledgeGit `json:"git,omitempty"`
	// Web are the pages of a site.
	Web *KnowledgeWeb `json:"web,omitempty"`
	// History are past runs of the fleet, and proposals. Whoever may search the source finds what people have told these agents; a run
	// never finds itself. For a rule that trusts, text of a run is of this source and of each that the run had read.
	History *KnowledgeHistory `json:"history,omitempty"`
	// Chunk says how documents are cut.
	Chunk *Chunk `json:"chunk,omitempty"`
	// Embed names a Model that makes vectors of the text. Default: none, and search is by words and by the text's own
	// statistics.
	Embed string `json:"embed,omitempty"`
	// Rerank names a Model that puts what a search finds first in the order in which it answers the question: up to 16 pieces of this
	// source. It can change nothing but their order. Default: none.
	Rerank string `json:"rerank,omitempty"`
	// Rewrite names a Model that says a question in up to three other ways, in which this source is searched as well. Default:
	// none.
	Rewrite string `json:"rewrite,omitempty"`
	// Graph says whether entities and relations are taken from what declares them: services, owners, images, manifests.
	// Only Files and Git have such files.
	Graph bool `json:"graph,omitempty"`
	// Labels are what searches may filter by.
	Labels map[string]string `json:"labels,omitempty" check:"max=64"`
}

// KnowledgeIndex says where an index is kept. All of it can be read again from the sources.
type KnowledgeIndex struct {
	// Postgres keeps it in PostgreSQL, for what outgrows a machine, or where several reconcilers are to share it.
	Postgres *Postgres `json:"postgres,omitempty"`
}

// Postgres is a schema of a PostgreSQL database.
type Postgres struct {
	// Connection is the connection string, as libpq understands it:
	// postgres://user:password@host:5432/database?sslmode=verify-full. The database has pgvector 0.7 or later, or the user may add it.
	Connection SecretRef `json:"connection" check:"required" hint:"write connection: {env: NAME}"`
	// Schema is the schema that is made and used. What is in it is the fleet's alone: another fleet, or another environment of
	// this one, needs another, and is refused in this one. Default: mainstay- and the fleet's name.
	Schema string `json:"schema,omitempty" check:"pattern=name"`
	// Connections is how many are open at once at most.
	Connections int `json:"connections,omitempty" check:"default=8,min=1,max=256"`
}

// KnowledgeFiles are files of a repository.
type KnowledgeFiles struct {
	// Include are doublestar globs over paths from the repository's root. A Helm chart whose Chart.yaml is among them is known as it
	// renders with its own values too, and a kustomization that no other one among them builds upon as it is built. Either may read any
	// file of the repository's commit that is not excluded, and nothing else; keys are empty to it.
	Include []string `json:"include" check:"required,max=256" hint:"write include: [\"docs/**\"]"`
	// Exclude are globs of files that are left out.
	Exclude []string `json:"exclude,omitempty" check:"max=256"`
}

// KnowledgeGit are files of another repository. Exactly one of Commit and Branch is set.
type KnowledgeGit struct {
	// URL is that of the repository.
	URL string `json:"url" check:"required,pattern=repository"`
	// Commit is the commit that is read.
	Commit string `json:"commit,omitempty" check:"pattern=commit"`
	// Branch is followed.
	Branch string `json:"branch,omitempty" check:"max=255"`
	// Credential is a token or password that reads the repository.
	Credential *SecretRef `json:"credential,omitempty"`
	KnowledgeFiles
}

// KnowledgeWeb are the pages of a site.
type KnowledgeWeb struct {
	// Sitemap is the URL of the site's sitemap (https://www.sitemaps.org).
	Sitemap string `json:"sitemap" check:"required,pattern=url"`
	// Allow are the beginnings of the URLs that are read. No other page is.
	Allow []string `json:"allow" check:"required,max=256" hint:"write allow: [\"https://example.com/docs/\"]"`
	// Refresh is how often the sitemap is read.
	Refresh Duration `json:"refresh,omitempty" check:"default=24h,min=10m,max=8760h"`
}

// KnowledgeHistory are the runs of agents that have ended, and what agents have proposed, as far as they are kept: tasks, answers, tool
// calls without their results, proposals and what became of them.
type KnowledgeHistory struct {
	// Agents are the agents whose runs are read, by name, or globs such as `triage-*`, which runs of agents match too that are not
	// declared any more.
	Agents []string `json:"agents" check:"required,max=256" hint:"write agents: [NAME], those whose runs may be found"`
	// Include says what is read: runs that have ended, or the proposals of these and the open ones of runs that wait. Default: both.
	Include []string `json:"include,omitempty" check:"max=2,enum=proposals|runs"`
	// Since is how long ago a run has ended at most. Default: as long as runs are kept.
	Since Duration `json:"since,omitempty" check:"min=1h,max=87600h"`
}

// What a [KnowledgeHistory] may include.
const (
	HistoryProposals = "proposals"
	HistoryRuns      = "runs"
)

// Of reports whether an agent's runs are read.
func (h *KnowledgeHistory) Of(agent AgentName) bool {
	return slices.ContainsFunc(h.Agents, func(glob string) bool {
		matches, _ := doublestar.Match(glob, string(agent)) // Those of a checked resource are valid.
		return matches
	})
}

// Includes reports whether runs or proposals are read.
func (h *KnowledgeHistory) Includes(what string) bool {
	return len(h.Include) == 0 || slices.Contains(h.Include, what)
}

// Chunk says how documents are cut.
type Chunk struct {
	// Size is how long a chunk is at most, in characters.
	Size int `json:"size,omitempty" check:"default=1200,min=100,max=20000"`
	// Overlap is how much of a chunk's end the next one repeats, in characters. It is less than Size.
	Overlap int `json:"overlap,omitempty" check:"default=0,min=0,max=10000"`
}
