package reconciler_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/mainstay-dev/mainstay/"

// mayImport lists, for every package of this module, the packages of this module that it may import. Imports run one
// way: cmd -> reconciler -> its stages -> spec. Stages do not know one another; package reconciler joins them, and cmd
// picks the concrete parts. Only host and broker know plugins.
var mayImport = map[string][]string{
	// The types, which all others share.
	"spec":               {"spec/canonical", "spec/near", "spec/sops", "spec/pgp"},
	"spec/canonical":     nil,
	"spec/near":          nil,
	"spec/jsonnet":       {"spec/near"},
	"spec/sops":          {"spec/near"}, // what SOPS has encrypted in a repository: checked by spec, decrypted by reconciler/secret
	"spec/sops/sopstest": nil,
	"spec/pgp":           nil, // OpenPGP keys and signatures, read strictly: keys by spec, signatures by reconciler/remote
	"spec/pgp/pgptest":   nil,
	"spec/format":        {"spec", "spec/jsonnet"}, // Jsonnet is formatted where it is evaluated.

	// What is made from the types.
	"schemas":           {"spec"},
	"schemas/generator": {"spec", "schemas"},
	"schemas/generate":  {"schemas/generator"},

	// What is known, of use without the rest.
	"kb":                       nil,
	"kb/words":                 nil,
	"kb/lsa":                   nil,
	"kb/vectors":               nil, // the nearest of many vectors
	"kb/index":                 {"kb", "kb/lsa", "kb/vectors", "kb/words"},
	"kb/beir":                  nil,
	"kb/disk":                  {"kb", "kb/index", "kb/vectors"},         // the embedded engine
	"kb/postgres":              {"kb", "kb/index", "kb/lsa", "kb/words"}, // the engine for what outgrows a machine
	"kb/postgres/postgrestest": nil,                                      // a server for tests
	"kb/enginetest":            {"kb"},                                   // the suite of all engines
	"kb/ingest":                {"kb"},                                   // files become documents
	"kb/ingest/child":          nil,                                      // what may not end is asked a process of its own
	"kb/ingest/pdf":            {"kb/ingest/child"},
	"kb/render":                {"kb", "kb/ingest/child"}, // Helm charts and kustomizations, rendered in a process of its own
	"kb/graph":                 {"kb"},                    // how what a repository declares hangs together
	"kb/related":               {"kb", "kb/graph"},        // what was found brings what it hangs together with

	// How a runtime is written.
	"plugins":                    {"plugins/pluginpb", "spec/canonical"},
	"plugins/pluginpb":           nil,
	"plugins/plugintest":         {"plugins", "plugins/pluginpb"},
	"plugins/loop":               {"plugins"},
	"plugins/loop/mainstay-loop": {"plugins/loop"},
	// Builds the runtimes that are written in TypeScript, for tests of several packages.
	"plugins/langgraph/langgraphtest": nil,

	// The stages of the loop, in the order of the path. Package remote, one Git remote, lies beneath those that need it, and
	// so does diff, how a change of a text is shown.
	"reconciler/remote":                  {"spec", "spec/pgp"},
	"reconciler/diff":                    {"spec"},
	"reconciler/source":                  {"spec", "reconciler/remote"},
	"reconciler/plan":                    {"spec", "reconciler/diff"},
	"reconciler/policy":                  {"spec"},
	"reconciler/host":                    {"spec", "plugins", "plugins/pluginpb"},
	"reconciler/run":                     {"spec"},
	"reconciler/broker":                  {"spec", "kb", "kb/graph", "plugins", "reconciler/policy", "reconciler/broker/gateway", "reconciler/broker/model", "reconciler/broker/repair", "reconciler/broker/tool", "reconciler/secret"},
	"reconciler/broker/repair":           {"spec", "plugins", "reconciler/broker/model"}, // what models answer is mended, or it is said what is wrong
	"reconciler/broker/gateway":          {"spec", "plugins", "reconciler/broker/model"},
	"reconciler/broker/model":            {"spec", "plugins", "reconciler/secret"},
	"reconciler/broker/model/ollamatest": nil, // a real Ollama server, for tests of several packages
	"reconciler/broker/tool":             {"spec", "reconciler/secret"},
	"reconciler/secret":                  {"spec", "spec/sops"}, // references to secrets, for the broker's tool servers
	"reconciler/broker/tool/tooltest":    {"spec"},
	"reconciler/proposal":                {"spec", "reconciler/diff"},
	"reconciler/proposal/local":          {"spec", "reconciler/remote", "reconciler/proposal", "reconciler/approver"},
	// Who may approve, and what is decided about a call, are functions: approver lies beneath execute and proposal/local, which
	// ask it about one person, and policy beneath both.
	"reconciler/approver": {"spec", "reconciler/policy"},
	"reconciler/execute":  {"spec", "reconciler/remote", "reconciler/policy", "reconciler/approver"},
	// Pulls and creates models through broker/model, which asks servers and decides nothing.
	"reconciler/models":     {"spec", "reconciler/broker/model"},
	"reconciler/knowledge":  {"spec", "kb", "kb/graph", "kb/ingest", "kb/related", "kb/render", "reconciler/remote", "reconciler/knowledge/past"}, // sources are read into an engine, and asked
	"reconciler/undo":       {"spec"},                                                                                                             // which effects are offered to be undone
	"reconciler/shelf":      {"spec", "reconciler/remote"},
	"reconciler/store":      {"spec"},
	"reconciler/serve":      {"spec"},
	"reconciler/notify":     {"spec"},            // what waits or fails, told to webhooks
	"reconciler/transcript": {"spec", "plugins"}, // what a record tells people, who are shown what is in the bodies of its requests

	// Runs become documents, by what a record tells people.
	"reconciler/knowledge/past": {"spec", "kb", "kb/ingest", "reconciler/transcript"},

	// The loop.
	"reconciler": {"spec", "spec/near", "plugins", "reconciler/remote", "reconciler/source", "reconciler/plan", "reconciler/policy",
		"reconciler/host", "reconciler/run", "reconciler/broker", "reconciler/broker/model", "reconciler/broker/tool", "reconciler/models", "reconciler/knowledge",
		"reconciler/proposal", "reconciler/execute", "reconciler/undo", "reconciler/shelf", "reconciler/store", "reconciler/serve", "reconciler/notify"},

	// A finished run, once more, without effect: the engine over a memory, with the record in place of the broker, whose
	// verdicts and lists of tools it asks for.
	"reconciler/replay": {"spec", "plugins", "reconciler/run", "reconciler/broker", "reconciler/diff"},

	// What is checked from outside, by the rules of package execute.
	"reconciler/audit": {"spec", "reconciler/remote", "reconciler/execute"},

	// The command line.
	"cmd/mainstay": {"spec", "spec/near", "spec/jsonnet", "spec/format", "kb", "kb/beir", "kb/disk", "kb/graph", "kb/index", "kb/ingest/pdf", "kb/postgres", "kb/render", "schemas", "plugins", "plugins/loop", "plugins/plugintest", "reconciler", "reconciler/remote", "reconciler/source",
		"reconciler/plan", "reconciler/policy", "reconciler/host", "reconciler/run", "reconciler/broker",
		"reconciler/broker/model", "reconciler/broker/tool", "reconciler/models", "reconciler/knowledge", "reconciler/proposal", "reconciler/proposal/local",
		"reconciler/execute", "reconciler/audit", "reconciler/secret", "reconciler/shelf", "reconciler/store", "reconciler/serve", "reconciler/transcript", "reconciler/replay",
		"examples/quickstart", "examples/quickstart/cluster"},

	// The examples.
	"examples/quickstart":                        nil,
	"examples/quickstart/cluster":                nil,
	"examples/quickstart/cluster/cluster-server": {"examples/quickstart/cluster"},
	"examples/platform-team":                     nil,
	"examples/langgraph":                         nil,
}

func TestImportsRunOneWay(t *testing.T) {
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); d.IsDir() && name != "." &&
			(strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules") {
			return fs.SkipDir // the go command does not look there either
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		allowed, listed := mayImport[path.Dir(name)]
		if !listed {
			t.Errorf("%s is of a package that is not listed: say in reconciler/imports_test.go what it may import", name)
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if ours, ok := strings.CutPrefix(imported, module); ok && listed && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which reconciler/imports_test.go does not allow", name, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyPackagesThatExistAreListed(t *testing.T) {
	named := map[string]bool{}
	for listed, allowed := range mayImport {
		named[listed] = true
		for _, name := range allowed {
			named[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if files, err := fs.Glob(os.DirFS(".."), name+"/*.go"); err != nil || len(files) == 0 {
			t.Errorf("%s is listed, but there is no such package: take it out", name)
		}
	}
}
