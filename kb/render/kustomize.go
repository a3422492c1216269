package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/kb"
)

// root is where the repository is in the file system of a build.
const root = "/repository"

// kustomizations are the names that a kustomization has, as kustomize looks for them.
var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// buildKustomization builds a kustomization of the files that it is given.
func buildKustomization(r request, a *answer) {
	fsys := newCheckout()
	for _, name := range slices.Sorted(maps.Keys(r.Files)) {
		content := r.Files[name]
		if slices.Contains(kustomizations, path.Base(name)) {
			content = prepared(r, name, a)
		}
		fsys.put(path.Join(root, name), content)
	}
	o := krusty.MakeDefaultOptions()
	o.LoadRestrictions = types.LoadRestrictionsNone
	all, err := krusty.MakeKustomizer(o).Run(fsys, path.Join(root, path.Dir(r.Head)))
	if err != nil {
		a.problem("it cannot be built: " + oneLine(strings.ReplaceAll(strings.ReplaceAll(err.Error(), root+"/", ""), root, ".")))
		return
	}
	written := writtenIn(r.Files)
	lines := entryLines(r)
	for _, res := range all.Resources() {
		o, err := built(r, res, written, lines)
		if err != nil {
			a.problem("it cannot be built: " + oneLine(err.Error()))
			continue
		}
		if o.Text != "" {
			a.Objects[r.Head] = append(a.Objects[r.Head], o)
		}
	}
}

// built is an object of a build. It has no text where it is as it is written.
func built(r request, res *resource.Resource, written map[string][]map[string]any, lines func(string) span) (kb.Rendered, error) {
	origin, err := res.GetOrigin()
	if err != nil {
		return kb.Rendered{}, err
	}
	if err := res.SetOrigin(nil); err != nil {
		return kb.Rendered{}, err
	}
	from := ""
	if origin != nil {
		if at := origin.Path; at != "" {
			from = path.Join(path.Dir(r.Head), at)
		} else if at := origin.ConfiguredIn; at != "" {
			from = path.Join(path.Dir(r.Head), at)
		}
	}
	object, err := res.Map()
	if err != nil {
		return kb.Rendered{}, err
	}
	object, err = plain(object)
	if err != nil {
		return kb.Rendered{}, err
	}
	if slices.ContainsFunc(written[from], func(w map[string]any) bool { return reflect.DeepEqual(w, object) }) {
		return kb.Rendered{}, nil
	}
	text, err := res.RNode.String()
	if err != nil {
		return kb.Rendered{}, err
	}
	at := lines(from)
	by := "kustomize build " + path.Dir(r.Head)
	if from != "" && from != r.Head {
		by += ", of " + from
	}
	return kb.Rendered{From: by, Text: text, First: at.first, Last: at.last}, nil
}

// plain is an object as JSON has it, without annotations where there are none.
func plain(object map[string]any) (map[string]any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	var is map[string]any
	if err := json.Unmarshal(text, &is); err != nil {
		return nil, err
	}
	if meta, ok := is["metadata"].(map[string]any); ok {
		if annotations, ok := meta["annotations"].(map[string]any); ok && len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	return is, nil
}

// writtenIn are the objects as they are written, by file.
func writtenIn(files map[string][]byte) map[string][]map[string]any {
	all := map[string][]map[string]any{}
	for name, content := range files {
		lines := linesOf(content)
		for _, d := range documents(lines) {
			var object map[string]any
			if yaml.Unmarshal([]byte(strings.Join(lines[d.first-1:d.last], "\n")), &object) != nil {
				continue
			}
			items := []any{object}
			if list, ok := object["items"].([]any); ok && object["kind"] == "List" {
				items = list
			}
			for _, item := range items {
				if object, ok := item.(map[string]any); ok {
					if object, err := plain(object); err == nil {
						all[name] = append(all[name], object)
					}
				}
			}
		}
	}
	return all
}

// entryLines tells in which lines of a kustomization a file comes in: where an entry names it or a folder it is in, and else all of it.
func entryLines(r request) func(string) span {
	content := r.Files[r.Head]
	whole := span{1, len(linesOf(content))}
	entries := map[string]int{}
	var document yamlv3.Node
	if yamlv3.Unmarshal(content, &document) == nil && len(document.Content) == 1 {
		for field, list := range fields(document.Content[0]) {
			if slices.Contains(buildsUpon, field) {
				for _, item := range list.Content {
					entries[path.Join(path.Dir(r.Head), item.Value)] = item.Line
				}
			}
		}
	}
	return func(name string) span {
		for at := name; ; at = path.Dir(at) {
			if line := entries[at]; line > 0 && at != path.Dir(r.Head) {
				return span{line, line}
			}
			if at == "." || at == "/" {
				return whole
			}
		}
	}
}

// fields yields those of a mapping.
func fields(n *yamlv3.Node) func(func(string, *yamlv3.Node) bool) {
	return func(yield func(string, *yamlv3.Node) bool) {
		if n.Kind != yamlv3.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// inflates are the fields that have a program render Helm charts.
var inflates = []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"}

// prepared is a kustomization as it is built: without what is not here, which is told, and with the origins of objects. One that is no
// YAML is left to kustomize, which says what is wrong with it.
func prepared(r request, name string, a *answer) []byte {
	var document yamlv3.Node
	if yamlv3.Unmarshal(r.Files[name], &document) != nil || len(document.Content) != 1 || document.Content[0].Kind != yamlv3.MappingNode {
		return r.Files[name]
	}
	n := document.Content[0]
	var kept []*yamlv3.Node
	for key, v := range fields(n) {
		if slices.Contains(inflates, key) {
			if key != "helmGlobals" {
				a.lacks(fmt.Sprintf("%s is built without its Helm charts, which a program would have to fetch and render", name))
			}
			continue
		}
		v = clone(v)
		if v.Kind == yamlv3.SequenceNode && slices.Contains(reads, key) {
			v.Content = slices.DeleteFunc(v.Content, func(item *yamlv3.Node) bool {
				if !remote(r, path.Dir(name), item) {
					return false
				}
				a.lacks(fmt.Sprintf("%s is built without %.100q, which is not of this commit, and is not fetched", name, item.Value))
				return true
			})
		}
		kept = append(kept, scalar(key), v)
	}
	n.Content = kept
	*field(field(n, "generatorOptions", yamlv3.MappingNode), "disableNameSuffixHash", yamlv3.ScalarNode) = *scalar("true")
	if name == r.Head {
		metadata := field(n, "buildMetadata", yamlv3.SequenceNode)
		metadata.Content = append(metadata.Content, scalar(types.OriginAnnotations))
	}
	content, err := yamlv3.Marshal(&document)
	if err != nil {
		return r.Files[name]
	}
	return content
}

func clone(n *yamlv3.Node) *yamlv3.Node {
	c := *n
	c.Content = slices.Clone(n.Content)
	return &c
}

func scalar(s string) *yamlv3.Node { return &yamlv3.Node{Kind: yamlv3.ScalarNode, Value: s} }

// field is the value of a field of a mapping, which is made where there is none of that kind.
func field(n *yamlv3.Node, name string, kind yamlv3.Kind) *yamlv3.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			if n.Content[i+1].Kind != kind {
				n.Content[i+1] = &yamlv3.Node{Kind: kind}
			}
			return n.Content[i+1]
		}
	}
	v := &yamlv3.Node{Kind: kind}
	n.Content = append(n.Content, scalar(name), v)
	return v
}

// remoteMarks are what tells a URL or a remote repository from a path, as kustomize does.
var remoteMarks = []string{"://", "git@", "git::", "gh:", "github.com", ".git", "_git/", "?ref=", "?version="}

// remote reports whether an entry is something that is not in the repository, by its form.
func remote(r request, dir string, item *yamlv3.Node) bool {
	if item.Kind != yamlv3.ScalarNode || strings.ContainsAny(item.Value, "\n\r") {
		return false
	}
	if slices.ContainsFunc(remoteMarks, func(mark string) bool { return strings.Contains(item.Value, mark) }) {
		local := path.Join(dir, item.Value)
		_, is := r.Files[local]
		for _, head := range kustomizations {
			if _, ok := r.Files[path.Join(local, head)]; ok {
				is = true
			}
		}
		return !is
	}
	return false
}
