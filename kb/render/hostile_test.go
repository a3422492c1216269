package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// hostileChart is a chart with one template.
func hostileChart(template string) string {
	return "-- a/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\n-- a/values.yaml --\nx: '{{ tpl .Values.x . }}{{ tpl .Values.x . }}'\n" +
		"-- a/templates/other.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n-- a/templates/x.yaml --\n" + template + "\n"
}

// doubling is templates of which each includes the next one twice.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{{ define "t%d" }}{{ include "t%d" . }}{{ include "t%d" . }}{{ end }}`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `{{ define "t%d" }}{{ end }}{{ include "t0" . }}`, n)
	return b.String()
}

// doublingBases are kustomizations of which each builds upon two that build upon the same.
func doublingBases(n int) string {
	var b strings.Builder
	for i := range n {
		for _, side := range []string{"a", "b"} {
			fmt.Fprintf(&b, "-- %s%d/kustomization.yaml --\nresources: [../a%d, ../b%d]\n", side, i, i+1, i+1)
		}
	}
	for _, side := range []string{"a", "b"} {
		fmt.Fprintf(&b, "-- %s%d/kustomization.yaml --\nresources: []\nnamePrefix: x\n", side, n)
	}
	return strings.Replace(b.String(), "-- b0/kustomization.yaml --\n", "-- b0/unused.yaml --\n", 1)
}

// Nothing that can be written in a repository ends whoever reads it, takes long, reads what is not of the commit, or starts a program.
func TestHostile(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan struct{}, 100)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			asked <- struct{}{}
			c.Close()
		}
	}()
	site := "http://" + listener.Addr().String()
	for _, c := range []struct{ name, archive, wants, not string }{
		{"a template that includes itself", hostileChart(`{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`), "nested reference name: a", ""},
		{"a template that is itself", hostileChart(`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`), "!", ""},
		{"templates that double", hostileChart(doubling(60)), "takes longer than 1s", ""},
		{"a text that is a template of itself", hostileChart("{{ tpl .Values.x . }}"), "!", ""},
		{"a range without end", hostileChart("{{ range until 2000000000 }}x{{ end }}"), "!", ""},
		{"a text of a gigabyte", hostileChart(`a: {{ repeat 1073741824 "x" }}`), "!", ""},
		{"more text than is taken", hostileChart(`{"apiVersion": "v1", "kind": "A", "a": "{{ repeat 17825792 "x" }}"}`), "more than 10000 objects or 16 MiB", ""},
		{"more objects than are taken", hostileChart("{{ range until 10001 }}\n---\napiVersion: v1\nkind: A\n{{ end }}"), "more than 10000 objects or 16 MiB", ""},
		{"the environment", hostileChart(`a: {{ env "PATH" }}`), `function "env" not defined`, ""},
		{"a file beside the chart", hostileChart(`{"apiVersion": "v1", "kind": "A", "a": "<{{ .Files.Get "../secret.txt" }}{{ .Files.Get "/etc/passwd" }}>"}`) + "-- secret.txt --\nhunter2\n", `"a": "<>"`, "hunter2"},
		{"an address", hostileChart(`{"apiVersion": "v1", "kind": "A", "a": "<{{ getHostByName "localhost" }}>"}`), `"a": "<>"`, "127.0.0.1"},
		{"a schema somewhere else", hostileChart("# {{ .Values.x }}") + `-- a/values.schema.json --` + "\n" + `{"$ref": "` + site + `/s.json"}` + "\n", "a/templates/other.yaml", ""},
		{"laughs", "-- a/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\n-- a/values.yaml --\na: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "!", ""},
		{"a chart that is none", "-- a/Chart.yaml --\n- a\n", "the chart cannot be read", ""},
		{"a chart without a name", "-- a/Chart.yaml --\napiVersion: v2\n", "the chart cannot be read", ""},
		{"charts that name one another", "-- a/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: b, version: 1.x, repository: 'file://../b'}]\n" +
			"-- b/Chart.yaml --\napiVersion: v2\nname: b\nversion: 1.0.0\ndependencies: [{name: a, version: 1.x, repository: 'file://../a'}]\n", "# a/Chart.yaml", ""},
		{"a chart outside of the repository", "-- a/Chart.yaml --\napiVersion: v2\nname: a\nversion: 1.0.0\ndependencies: [{name: b, version: 1.x, repository: 'file://../../../../etc'}]\n", "the chart b is rendered without", ""},
		{"a file of the machine", "-- a/kustomization.yaml --\nresources: [/etc/passwd]\n", "it cannot be built", "root:"},
		{"a way out", "-- a/kustomization.yaml --\nresources: [../../../../../../etc/passwd]\n", "it cannot be built", "root:"},
		{"a way out of a generator", "-- a/kustomization.yaml --\nconfigMapGenerator: [{name: a, files: [../../../../etc/passwd]}]\n", "it cannot be built", "root:"},
		{"a remote base", "-- a/kustomization.yaml --\nresources: ['" + site + "//a?ref=b', '" + site + "/a.yaml', 'git@example.org:a/b.git']\n", `is built without "` + site + `/a.yaml", which is not of this commit`, ""},
		{"a remote patch", "-- a/kustomization.yaml --\nresources: [a.yaml]\npatches: [{path: '" + site + "/patch.yaml'}]\n-- a/a.yaml --\napiVersion: v1\nkind: A\nmetadata: {name: a}\n", "it cannot be built", ""},
		{"a remote schema", "-- a/kustomization.yaml --\nopenapi: {path: '" + site + "/s.json'}\n", "it cannot be built", ""},
		{"a program", "-- a/kustomization.yaml --\ngenerators: [g.yaml]\n-- a/g.yaml --\napiVersion: example.org/v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n-- a/run.sh --\n#!/bin/sh\necho pwned\n", "it cannot be built", "pwned"},
		{"a container", "-- a/kustomization.yaml --\ntransformers: [g.yaml]\n-- a/g.yaml --\napiVersion: example.org/v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n    config.kubernetes.io/function: |\n      container: {image: example.org/run}\n", "it cannot be built", ""},
		{"a kustomization of itself", "-- a/kustomization.yaml --\nresources: [.]\n", "cycle detected", ""},
		{"kustomizations in a circle", "-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../a]\n", "cycle detected", ""},
		{"bases that double", doublingBases(40), "takes longer than 1s", ""},
		{"a kustomization that is none", "-- a/kustomization.yaml --\nresources: {a: [\n", "it cannot be built", ""},
		{"a kustomization that is a list", "-- a/kustomization.yaml --\n- a\n", "it cannot be built", ""},
		{"nothing", "-- a/kustomization.yaml --\n-- b/Chart.yaml --\n", "!", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if strings.Contains(c.wants, "takes longer") || c.wants == "!" {
				timeout = time.Second
			}
			got := renderAll(t, files(c.archive), session(t, timeout))
			if len(got) > 5000 {
				got = got[:5000]
			}
			if !strings.Contains(got, c.wants) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("it becomes\n%s\nand %q was expected, without %q", got, c.wants, c.not)
			}
		})
	}
	t.Cleanup(func() {
		if len(asked) > 0 {
			t.Errorf("a site is asked %d times", len(asked))
		}
	})
}

// A process that a hostile chart has ended is followed by another one.
func TestWhatComesAfterSomethingHostileIsRendered(t *testing.T) {
	t.Parallel()
	s := session(t, 5*time.Second)
	renderAll(t, files(hostileChart(doubling(60))), s)
	if got := renderAll(t, files(hostileChart("")), s); !strings.Contains(got, "kind: ConfigMap") {
		t.Errorf("it becomes\n%s", got)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	is := files(hostileChart("") + "-- b/kustomization.yaml --\nresources: [secret.yaml, ../c]\n")
	is["secret.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: A\nmetadata: {name: found}\n")}
	for name, to := range map[string]string{"a/templates/link.yaml": "../../secret.yaml", "b/secret.yaml": "../secret.yaml", "c": "a", "d/Chart.yaml": "../a/Chart.yaml"} {
		is[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
	}
	got := renderAll(t, is, session(t, time.Minute))
	if strings.Contains(got, "name: found") || strings.Contains(got, "# d/") || !strings.Contains(got, "! it cannot be built") {
		t.Errorf("it becomes\n%s", got)
	}
}

// packed is a chart in an archive.
func packed(t *testing.T, files map[string]string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnArchiveIsAChart(t *testing.T) {
	const sub = "apiVersion: v2\nname: sub\nversion: 1.0.0\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		wants string
	}{
		{"a chart", map[string]string{"sub/Chart.yaml": sub, "sub/templates/a.yaml": "apiVersion: v1\nkind: A\nmetadata: {name: {{ .Chart.Name }}}\n"}, "## a/Chart.yaml:1-3 Helm chart a/charts/sub, rendered with its own values from a/charts/sub/templates/a.yaml"},
		{"a bomb", map[string]string{"sub/Chart.yaml": sub, "sub/zeros": strings.Repeat("\x00", 6<<20)}, "larger than the maximum file size"},
		{"a way out", map[string]string{"sub/Chart.yaml": sub, "sub/../../../etc/cron.d/a": "x"}, "the chart cannot be read"},
	} {
		is := files(hostileChart(""))
		is["a/charts/sub-1.0.0.tgz"] = &fstest.MapFile{Data: packed(t, c.files)}
		if got := renderAll(t, is, session(t, time.Minute)); !strings.Contains(got, c.wants) {
			t.Errorf("%s becomes\n%s", c.name, got)
		}
	}
}
