package render

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Unit is what is rendered as one.
type Unit struct {
	// Head is the Chart.yaml or the kustomization. What is wrong with the unit is wrong with this file.
	Head string
	// Digest identifies what is rendered: where two are equal, so is that.
	Digest string
	// Shapes are the files as which objects are cited, and the head, sorted.
	Shapes []string

	kind string
	// files are those that may be read, by their names in the build, and problem is why none is. template says that it is a template for
	// others.
	files    map[string]file
	problem  string
	template bool
}

// file is one of the repository.
type file struct{ path, id string }

// Units are those of a commit whose heads are wanted, sorted by these. readable reports whether a file may be read: what may not is, for
// units, not there.
func (f *Finder) Units(ctx context.Context, of Tree, wanted, readable func(path string) bool) ([]Unit, error) {
	t := &tree{Finder: f, ctx: ctx, is: of, listed: map[string]map[string]fs.DirEntry{}, readable: readable}
	heads, err := t.headsIn(".", nil)
	if err != nil {
		return nil, err
	}
	heads = slices.DeleteFunc(heads, func(h string) bool { return !wanted(h) || !readable(h) })
	var units []Unit
	charts := map[string]bool{}
	for _, h := range heads {
		if path.Base(h) == "Chart.yaml" {
			charts[path.Dir(h)] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(charts)) {
		if partOfChart(dir, charts) {
			continue
		}
		u, err := t.chart(dir)
		if err != nil {
			return nil, err
		}
		if u != nil {
			units = append(units, *u)
		}
	}
	built, err := t.kustomizations(heads, charts)
	if err != nil {
		return nil, err
	}
	units = append(units, built...)
	slices.SortFunc(units, func(a, b Unit) int { return cmp.Compare(a.Head, b.Head) })
	for i := range units {
		u := &units[i]
		if i >= maxUnits {
			u.files, u.problem, u.Shapes = nil, fmt.Sprintf("it is not rendered, since there are more than %d charts and kustomizations: let the source include less", maxUnits), []string{u.Head}
		}
		u.Digest = u.digest()
	}
	return units, nil
}

// partOfChart reports whether a chart is in the folder charts of another one, or in a template folder of one.
func partOfChart(dir string, charts map[string]bool) bool {
	for at := dir; at != "."; at = path.Dir(at) {
		parent := path.Dir(at)
		if base := path.Base(at); (base == "charts" || base == "templates") && charts[parent] && at != dir {
			return true
		}
	}
	return false
}

func (u *Unit) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %q %q\n", version, u.kind, u.Head, u.problem)
	for _, name := range slices.Sorted(maps.Keys(u.files)) {
		fmt.Fprintf(h, "%q %q %s\n", name, u.files[name].path, u.files[name].id)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// chart is the unit of a chart; nil where it is none that can be rendered by itself: a library, or a template for charts.
func (t *tree) chart(dir string) (*Unit, error) {
	u := &Unit{kind: helm, Head: path.Join(dir, "Chart.yaml"), files: map[string]file{}}
	content, err := t.is.ReadFile(u.Head)
	if err != nil {
		return nil, err
	}
	var m manifest
	if bytes.Contains(content, []byte("{{")) || yaml.Unmarshal(content, &m) == nil && m.Type == "library" {
		return nil, nil
	}
	if err := t.chartFiles(u, dir, "", 0); err != nil {
		return nil, err
	}
	u.Shapes = []string{u.Head}
	for name, f := range u.files {
		if f.path == path.Join(dir, name) && isTemplate(name) {
			u.Shapes = append(u.Shapes, f.path)
		}
	}
	slices.Sort(u.Shapes)
	u.Shapes = slices.Compact(u.Shapes)
	return u, nil
}

// isTemplate reports whether a file of a chart, or of one in its folder charts, renders to resources by its name.
func isTemplate(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
	default:
		return false
	}
	for {
		rest, ok := strings.CutPrefix(name, "charts/")
		if !ok {
			return strings.HasPrefix(name, "templates/") && !strings.HasPrefix(path.Base(name), "_")
		}
		_, name, _ = strings.Cut(rest, "/")
	}
}

// chartFiles adds the files of a chart, those of charts that it names by paths among them, beneath a name.
func (t *tree) chartFiles(u *Unit, dir, as string, depth int) error {
	if err := t.folder(u, dir, as); err != nil {
		return err
	}
	head, ok := u.files[path.Join(as, "Chart.yaml")]
	if !ok || depth > maxDepth {
		return nil
	}
	content, err := t.is.ReadFile(head.path)
	if err != nil {
		return err
	}
	var m manifest
	if yaml.Unmarshal(content, &m) != nil {
		return nil
	}
	for _, d := range m.Dependencies {
		relative, local := strings.CutPrefix(d.Repository, "file://")
		at := path.Join(dir, relative)
		to := path.Join(as, "charts", d.Name)
		if !local || strings.HasPrefix(relative, "/") || !fs.ValidPath(at) || strings.Contains(d.Name, "/") || t.vendored(u, as, d.Name) {
			continue
		}
		id, err := t.file(path.Join(at, "Chart.yaml"))
		if err != nil {
			return err
		}
		if id == "" || dir == at || strings.HasPrefix(dir+"/", at+"/") {
			continue // It is not there, or would be a part of itself.
		}
		if err := t.chartFiles(u, at, to, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// vendored reports whether a chart is in the folder charts of another one.
func (t *tree) vendored(u *Unit, as, name string) bool {
	prefix := path.Join(as, "charts") + "/" + name
	for f := range u.files {
		if rest, ok := strings.CutPrefix(f, prefix); ok && (rest == "/Chart.yaml" || strings.HasPrefix(rest, "-") && strings.HasSuffix(rest, ".tgz")) {
			return true
		}
	}
	return false
}

// folder adds the files of a folder and of those beneath.
func (t *tree) folder(u *Unit, dir, as string) error {
	list, err := t.list(dir)
	if err != nil {
		return err
	}
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		e, at := list[name], path.Join(dir, name)
		switch {
		case u.problem != "":
			return nil
		case e.IsDir():
			if err := t.folder(u, at, path.Join(as, name)); err != nil {
				return err
			}
		case e.Type().IsRegular() && t.readable(at):
			id, err := t.id(at, e)
			if err != nil {
				return err
			}
			t.add(u, path.Join(as, name), file{at, id})
		}
	}
	return nil
}

// add adds a file to a unit, as long as there is room.
func (t *tree) add(u *Unit, name string, f file) {
	if len(u.files) == maxFiles {
		u.files, u.problem = nil, fmt.Sprintf("it is not rendered, since it reads more than %d files", maxFiles)
	}
	if u.files != nil {
		u.files[name] = f
	}
}

// Fields of a kustomization with paths: of what it builds upon, and of all that may be somewhere else.
var (
	buildsUpon = []string{"resources", "bases", "components"}
	reads      = append([]string{"crds", "configurations", "transformers", "generators", "validators", "patchesStrategicMerge"}, buildsUpon...)
)

// kustomization is what is needed of one.
type kustomization struct {
	// component and foreign say that it is not built by itself: it is a part of others, or something else that has its name. template says
	// that something has still to be filled in, so that neither it nor what builds upon it is built.
	component, foreign, template bool
	// upon are the paths that it builds upon, configs those of files that say more, and names all that may be the path of a file. They
	// are relative to its folder.
	upon, configs, names []string
}

// readKustomization reads one; of what is no YAML nothing is known, and kustomize says what is wrong.
func readKustomization(content []byte) (k kustomization) {
	var document yamlv3.Node
	if bytes.Contains(content, []byte("{{")) {
		return kustomization{template: true}
	}
	if yamlv3.Unmarshal(content, &document) != nil || len(document.Content) != 1 {
		return k
	}
	for name, v := range fields(document.Content[0]) {
		switch name {
		case "apiVersion":
			k.foreign = !strings.HasPrefix(v.Value, "kustomize.config.k8s.io/")
		case "kind":
			k.component = v.Value == "Component"
		}
		for _, item := range v.Content {
			switch {
			case item.Kind != yamlv3.ScalarNode:
			case slices.Contains(buildsUpon, name):
				k.upon = append(k.upon, item.Value)
			case slices.Contains(reads, name):
				k.configs = append(k.configs, item.Value)
			}
		}
	}
	scalars(&document, func(s string) { k.names = append(k.names, s) }, 0)
	return k
}

// scalars yields the scalars of a document that may be paths, also behind a name: settings=files/settings.conf.
func scalars(n *yamlv3.Node, yield func(string), depth int) {
	if depth > 100 {
		return
	}
	if n.Kind == yamlv3.ScalarNode && len(n.Value) < 1024 && !strings.ContainsAny(n.Value, "\n\r") {
		yield(n.Value)
		if _, behind, found := strings.Cut(n.Value, "="); found {
			yield(behind)
		}
	}
	for _, c := range n.Content {
		scalars(c, yield, depth+1)
	}
}

// kustomizations are the units of those that are to be built.
func (t *tree) kustomizations(heads []string, charts map[string]bool) ([]Unit, error) {
	upon := map[string]bool{} // folders that another one builds upon
	known := map[string]kustomization{}
	for _, h := range heads {
		if path.Base(h) == "Chart.yaml" || h != t.headOf(path.Dir(h)) || partOfChart(path.Join(path.Dir(h), "x"), charts) {
			continue
		}
		k, err := t.kustomization(h)
		if err != nil {
			return nil, err
		}
		known[h] = k
		if k.foreign {
			continue
		}
		for _, u := range k.upon {
			if at := path.Join(path.Dir(h), u); at != path.Dir(h) {
				upon[at] = true
			}
		}
	}
	var units []Unit
	built := map[string]bool{}
	for _, alone := range []bool{true, false} { // At last those that build upon one another in a circle, which kustomize says.
		for _, h := range slices.Sorted(maps.Keys(known)) {
			if k := known[h]; k.foreign || k.component || built[h] || alone && upon[path.Dir(h)] {
				continue
			}
			u := Unit{kind: kustomize, Head: h, files: map[string]file{}, Shapes: []string{h}}
			if err := t.closure(&u, h, map[string]bool{}); err != nil {
				return nil, err
			}
			if !u.template {
				units = append(units, u)
			}
			for name := range u.files {
				built[name] = true
			}
		}
	}
	return units, nil
}

// headOf is the kustomization of a folder; "" where it has none, or one that may not be read.
func (t *tree) headOf(dir string) string {
	for _, name := range kustomizations {
		at := path.Join(dir, name)
		if e, err := t.at(at); err == nil && e != nil && e.Type().IsRegular() && t.readable(at) {
			return at
		}
	}
	return ""
}

func (t *tree) kustomization(head string) (kustomization, error) {
	id, err := t.file(head)
	if err != nil {
		return kustomization{}, err
	}
	if k, ok := t.written.Get(id); ok {
		return k, nil
	}
	content, err := t.is.ReadFile(head)
	if err != nil {
		return kustomization{}, err
	}
	k := readKustomization(content)
	t.written.Add(id, k)
	return k, nil
}

// closure adds to a unit a file that is a kustomization or says more to one, and all that it may read.
func (t *tree) closure(u *Unit, name string, seen map[string]bool) error {
	if seen[name] || u.problem != "" {
		return nil
	}
	seen[name] = true
	id, err := t.file(name)
	if err != nil || id == "" {
		return err
	}
	t.add(u, name, file{name, id})
	k, err := t.kustomization(name)
	if err != nil {
		return err
	}
	u.template = u.template || k.template
	dir := path.Dir(name)
	for _, n := range k.names {
		at := path.Join(dir, n)
		if strings.HasPrefix(n, "/") || !fs.ValidPath(at) {
			continue
		}
		id, err := t.file(at)
		if err != nil {
			return err
		}
		if id != "" {
			t.add(u, at, file{at, id})
		}
	}
	for i, n := range append(slices.Clip(k.upon), k.configs...) {
		at := path.Join(dir, n)
		if strings.HasPrefix(n, "/") || !fs.ValidPath(at) {
			continue
		}
		if head := t.headOf(at); head != "" {
			at = head
		} else if i < len(k.upon) {
			continue // A file that is a resource says nothing more.
		}
		if err := t.closure(u, at, seen); err != nil {
			return err
		}
	}
	return nil
}
