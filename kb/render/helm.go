package render

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/kb"
)

// maxFailing is how many templates of a chart may fail while the others are rendered.
const maxFailing = 20

// renderChart renders a chart. The schema of its values is not asked, since it may refer to files and sites.
func renderChart(r request, a *answer) {
	files, err := chartFiles(r.Files)
	if err != nil {
		a.problem(err.Error())
		return
	}
	c, err := loader.LoadFiles(files)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		a.problem("the chart cannot be read: " + oneLine(err.Error()))
		return
	}
	where := map[string]string{}
	chartFolders(r.Files, "", "", where, 0)
	values := c.Values
	if values == nil {
		values = map[string]any{}
	}
	for _, missing := range missingCharts(c) {
		a.lacks("the chart " + missing + " is rendered without, since it is not in charts: commit what helm dependency update writes there")
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		a.problem("its dependencies cannot be read: " + oneLine(err.Error()))
		return
	}
	release := common.ReleaseOptions{Name: c.Name(), Namespace: "default", Revision: 1, IsInstall: true}
	top, err := util.ToRenderValuesWithSchemaValidation(c, nil, release, common.DefaultCapabilities.Copy(), true)
	if err != nil {
		a.problem("its values cannot be read: " + oneLine(err.Error()))
		return
	}
	e := engine.Engine{CustomTemplateFuncs: repeatable(a)}
	for range maxFailing {
		out, err := e.Render(c, top)
		if err == nil {
			size := 0
			for _, text := range out {
				if size += len(text); size > maxText {
					a.problem(tooMuch)
					return
				}
			}
			for _, name := range slices.Sorted(maps.Keys(out)) {
				addTemplate(r, name, out[name], where, a)
			}
			return
		}
		a.problem("a template fails: " + oneLine(err.Error()))
		if !leaveOut(c, err.Error()) {
			return
		}
	}
}

// chartFiles are the files of a chart without those that its .helmignore names.
func chartFiles(all map[string][]byte) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if content, ok := all[ignore.HelmIgnore]; ok {
		var err error
		if rules, err = ignore.Parse(bytes.NewReader(content)); err != nil {
			return nil, fmt.Errorf("its .helmignore cannot be read: %w", err)
		}
	}
	rules.AddDefaults()
	var files []*archive.BufferedFile
	for _, name := range slices.Sorted(maps.Keys(all)) {
		ignored := rules.Ignore(name, entry{name, false})
		for dir := path.Dir(name); dir != "." && !ignored; dir = path.Dir(dir) {
			ignored = rules.Ignore(dir, entry{dir, true})
		}
		if !ignored {
			files = append(files, &archive.BufferedFile{Name: name, Data: all[name]})
		}
	}
	return files, nil
}

// entry is what .helmignore asks of a file.
type entry struct {
	name string
	dir  bool
}

func (e entry) Name() string { return path.Base(e.name) }
func (e entry) Size() int64  { return 0 }
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.dir }
func (e entry) Sys() any           { return nil }

// manifest is what is needed of a Chart.yaml.
type manifest struct {
	Name         string `json:"name"`
	Type         string `json:"type"`
	Dependencies []struct {
		Name       string `json:"name"`
		Alias      string `json:"alias"`
		Repository string `json:"repository"`
	} `json:"dependencies"`
}

// chartFolders notes in which folder each chart is, by the name that the engine has for it.
func chartFolders(files map[string][]byte, dir, parent string, where map[string]string, depth int) {
	var m manifest
	if yaml.Unmarshal(files[path.Join(dir, "Chart.yaml")], &m) != nil || depth > maxDepth {
		return
	}
	if depth == 0 {
		parent = m.Name
		where[parent] = ""
	}
	prefix := path.Join(dir, "charts") + "/"
	for name := range files {
		rest, ok := strings.CutPrefix(name, prefix)
		folder, file, _ := strings.Cut(rest, "/")
		if !ok || file != "Chart.yaml" {
			continue
		}
		var sub manifest
		if yaml.Unmarshal(files[name], &sub) != nil {
			continue
		}
		names := []string{sub.Name}
		for _, d := range m.Dependencies {
			if d.Name == sub.Name && d.Alias != "" {
				names = append(names, d.Alias)
			}
		}
		for _, n := range names {
			full := parent + "/charts/" + n
			where[full] = prefix + folder
			chartFolders(files, prefix+folder, full, where, depth+1)
		}
	}
}

// missingCharts are the dependencies of a chart that are not there, sorted.
func missingCharts(c *chart.Chart) []string {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if d != nil && !slices.ContainsFunc(c.Dependencies(), func(sub *chart.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// leaveOut takes a template out of a chart that an error is about, and reports whether there is one.
func leaveOut(c *chart.Chart, failed string) bool {
	at, of, index := len(failed), (*chart.Chart)(nil), 0
	var look func(c *chart.Chart)
	look = func(c *chart.Chart) {
		for i, t := range c.Templates {
			if found := strings.Index(failed, path.Join(c.ChartFullPath(), t.Name)); found >= 0 && found < at {
				at, of, index = found, c, i
			}
		}
		for _, sub := range c.Dependencies() {
			look(sub)
		}
	}
	look(c)
	if of != nil {
		of.Templates = slices.Delete(of.Templates, index, index+1)
	}
	return of != nil
}

// addTemplate adds the objects that a template renders to.
func addTemplate(r request, name, text string, where map[string]string, a *answer) {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
	default:
		return
	}
	full, file, _ := cutLast(name, "/templates/")
	file = "templates/" + file
	source := ""
	if dir, ok := where[full]; ok {
		source = path.Join(dir, file)
	}
	content, known := r.Files[source]
	if known && !bytes.Contains(content, []byte("{{")) {
		return // It is read as it is.
	}
	from := "Helm chart " + full + ", rendered with its own values"
	if !known {
		source, from = r.Head, from+" from "+name
		content = r.Files[source]
	}
	written := linesOf(content)
	whole := span{1, len(written)}
	lines := linesOf([]byte(text))
	for _, d := range documents(lines) {
		part := lines[d.first-1 : d.last]
		text := strings.Join(part, "\n") + "\n"
		kind, _, err := kindOf(text)
		if err != nil {
			a.problem(fmt.Sprintf("%s renders to what is no YAML: %s", name, oneLine(err.Error())))
			continue
		}
		if kind == "" {
			continue
		}
		o := kb.Rendered{From: from, Text: text, First: whole.first, Last: whole.last}
		if known {
			at := segment(written, part, kind, whole)
			o.First, o.Last, o.Lines = at.first, at.last, comeFrom(part, written, at)
		}
		a.Objects[source] = append(a.Objects[source], o)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// segment is the document of a template that an object comes from: the one that is of its kind, or of several the one that has most lines in
// common with it. Where that cannot be told, it is all of the template.
func segment(written, object []string, kind string, whole span) span {
	has := map[string]bool{}
	for _, line := range object {
		has[strings.TrimSpace(line)] = true
	}
	found, most, again := whole, -1, false
	for _, d := range documents(written) {
		common, is := 0, false
		for _, line := range written[d.first-1 : d.last] {
			value, ok := strings.CutPrefix(strings.TrimRight(line, " \t"), "kind:")
			is = is || ok && strings.Trim(value, ` "'`) == kind
			if has[strings.TrimSpace(line)] {
				common++
			}
		}
		if is && common >= most {
			found, most, again = withoutActions(written, d), common, common == most
		}
	}
	if again {
		return whole
	}
	return found
}

// withoutActions is a range without the lines at its ends that hold nothing but an action of a template.
func withoutActions(written []string, d span) span {
	action := func(line int) bool {
		s := strings.TrimSpace(written[line-1])
		return s == "" || strings.HasPrefix(s, "{{") && strings.HasSuffix(s, "}}")
	}
	for d.first < d.last && action(d.first) {
		d.first++
	}
	for d.last > d.first && action(d.last) {
		d.last--
	}
	return d
}

// comeFrom says of which lines of a template those of an object are: of the only one that is the same, or has the same key, or of the one with
// the same key behind the line before.
func comeFrom(object, written []string, at span) []int {
	part := written[at.first-1 : at.last]
	from := make([]int, len(object))
	for _, as := range []func(string) string{strings.TrimSpace, keyOf} {
		count, place := map[string]int{}, map[string]int{}
		for i, line := range part {
			if k := as(line); k != "" {
				count[k]++
				place[k] = at.first + i
			}
		}
		here := map[string]int{}
		for _, line := range object {
			here[as(line)]++
		}
		for i, line := range object {
			if k := as(line); from[i] == 0 && here[k] == 1 && count[k] == 1 {
				from[i] = place[k]
			}
		}
	}
	for i := 1; i < len(object); i++ {
		if next := from[i-1]; from[i] == 0 && next > 0 && next < at.last && keyOf(object[i]) != "" && keyOf(object[i]) == keyOf(written[next]) {
			from[i] = next + 1
		}
	}
	return from
}

// keyOf is the key of a line of YAML.
func keyOf(line string) string {
	key, _, found := strings.Cut(strings.TrimLeft(line, " -"), ":")
	if !found || strings.ContainsAny(key, "{}\"' ") {
		return ""
	}
	return key + ":"
}

// oneLine puts a text into one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
