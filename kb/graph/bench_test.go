package graph_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb/graph"
)

// platform are the facts of an organisation with 100,000 entities and about 300,000 relations: teams own components, which depend on one
// another, mostly on older ones and some far more often than others; each has a Deployment, a Service that selects it, and a ConfigMap,
// in a file of its own, and all run one of 400 base images. The seed is fixed.
func platform() []graph.Facts {
	const components = 20_000
	random := rand.New(rand.NewPCG(1, 2))
	var files []graph.Facts
	for i := range components {
		name := fmt.Sprintf("svc-%05d", i)
		namespace := fmt.Sprintf("team-%03d", i%500)
		component := graph.Node{Group: graph.GroupBackstage, Kind: "component", Namespace: "default", Name: name}
		deployment := graph.Node{Group: "apps", Kind: "Deployment", Namespace: namespace, Name: name}
		service := graph.Node{Kind: "Service", Namespace: namespace, Name: name}
		config := graph.Node{Kind: "ConfigMap", Namespace: namespace, Name: name}
		f := graph.Facts{Path: fmt.Sprintf("services/%s/%s.yaml", namespace, name)}
		f.Entities = []graph.Entity{{Node: component, First: 1, Last: 9}, {Node: deployment, First: 11, Last: 40, Labels: map[string]string{"app": name}},
			{Node: service, First: 42, Last: 50}, {Node: config, First: 52, Last: 60}}
		link := func(from graph.Node, r graph.Relation, to graph.Node, line int) {
			f.Links = append(f.Links, graph.Link{From: from, Relation: r, To: to, Line: line})
		}
		link(component, graph.OwnedBy, graph.Node{Group: graph.GroupBackstage, Kind: "group", Namespace: "default", Name: namespace}, 5)
		link(deployment, graph.PartOf, component, 12)
		link(deployment, graph.Runs, graph.Node{Kind: graph.KindImage, Name: fmt.Sprintf("registry.example.org/base-%03d", random.IntN(400))}, 20)
		link(deployment, graph.Uses, config, 22)
		link(service, graph.Selects, graph.Node{Kind: graph.KindPods, Namespace: namespace, Name: "app=" + name}, 45)
		for range random.IntN(4) {
			// What is older is needed more, and the very first by very many.
			on := int(float64(i) * random.Float64() * random.Float64())
			link(deployment, graph.DependsOn, graph.Node{Kind: "Service", Namespace: fmt.Sprintf("team-%03d", on%500), Name: fmt.Sprintf("svc-%05d", on)}, 25)
		}
		files = append(files, f)
	}
	return files
}

func build(files []graph.Facts) *graph.Graph {
	g := graph.New()
	for _, f := range files {
		g.Put(f)
	}
	return g
}

// BenchmarkBlastRadius asks what depends on something, to depth 4, over 100,000 nodes: on any Service, and on the one that most need.
func BenchmarkBlastRadius(b *testing.B) {
	g := build(platform())
	entities, relations := g.Size()
	random := rand.New(rand.NewPCG(3, 4))
	ask := func(b *testing.B, next func() graph.Node) {
		found := 0
		for b.Loop() {
			a := g.BlastRadius(next(), 4, 1000)
			found += len(a.Found) + a.LeftOut
		}
		b.ReportMetric(float64(found)/float64(b.N), "found/op")
		b.ReportMetric(float64(entities), "nodes")
		b.ReportMetric(float64(relations), "relations")
	}
	b.Run("random", func(b *testing.B) {
		ask(b, func() graph.Node {
			i := random.IntN(20_000)
			return graph.Node{Kind: "Service", Namespace: fmt.Sprintf("team-%03d", i%500), Name: fmt.Sprintf("svc-%05d", i)}
		})
	})
	b.Run("hub", func(b *testing.B) {
		ask(b, func() graph.Node { return graph.Node{Kind: "Service", Namespace: "team-000", Name: "svc-00000"} })
	})
}

// BenchmarkOneFile takes a file of a graph of 100,000 nodes out and puts it back.
func BenchmarkOneFile(b *testing.B) {
	files := platform()
	g := build(files)
	i := 0
	for b.Loop() {
		g.Put(files[i%len(files)])
		i += 7919
	}
}

// BenchmarkBuild makes the graph of 100,000 nodes.
func BenchmarkBuild(b *testing.B) {
	files := platform()
	for b.Loop() {
		build(files)
	}
}

// BenchmarkExtract reads manifests: those of real repositories where MAINSTAY_TEST_DATA names them, and else small ones.
func BenchmarkExtract(b *testing.B) {
	type file struct {
		path string
		data []byte
	}
	var files []file
	if data := os.Getenv("MAINSTAY_TEST_DATA"); data != "" {
		root := filepath.Join(data, "catalogs")
		err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && graph.Reads(name) {
				text, err := os.ReadFile(filepath.Join(root, name))
				files = append(files, file{name, text})
				return err
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	} else {
		for _, f := range shop {
			path, text, _ := strings.Cut(f, "\n")
			files = append(files, file{path, []byte(text)})
		}
	}
	size := int64(0)
	for _, f := range files {
		size += int64(len(f.data))
	}
	b.SetBytes(size)
	for b.Loop() {
		for _, f := range files {
			graph.Extract(f.path, f.data)
		}
	}
}
