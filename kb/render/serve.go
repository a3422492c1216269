package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mainstay-dev/mainstay/kb"
	"github.com/mainstay-dev/mainstay/kb/ingest/child"
)

// Serve is the child: it reads units from in, and writes what they render to to out. Nothing in this process asks the network afterwards.
func Serve(in io.Reader, out io.Writer) error {
	log.SetOutput(io.Discard) // Helm and kustomize tell there what a person at a terminal would like to know.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	http.DefaultTransport = noNetwork{}
	return child.Serve(in, out, func(asked []byte) []byte {
		a := rendered(asked)
		text, err := json.Marshal(a)
		if err != nil {
			panic(err) // Only texts are in it.
		}
		return text
	})
}

// noNetwork refuses whatever is asked.
type noNetwork struct{}

func (noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s is not of this commit", r.URL.Host)
}

// rendered renders a unit. It may not return, and it may end the process.
func rendered(asked []byte) (a answer) {
	a.Objects = map[string][]kb.Rendered{}
	defer func() {
		if p := recover(); p != nil {
			a = answer{Problems: []string{fmt.Sprintf("it cannot be rendered: %.200v", p)}}
		}
	}()
	var r request
	if err := json.Unmarshal(asked, &r); err != nil {
		a.problem(err.Error())
		return a
	}
	if r.Kind == helm {
		renderChart(r, &a)
	} else {
		buildKustomization(r, &a)
	}
	text, n := 0, 0
	for _, objects := range a.Objects {
		n += len(objects)
		for _, o := range objects {
			text += len(o.Text)
		}
	}
	if text > maxText || n > maxObjects {
		a = answer{Problems: []string{tooMuch}}
	}
	for _, told := range []*[]string{&a.Problems, &a.Lacks} {
		slices.Sort(*told)
		*told = slices.Compact(*told)
		*told = (*told)[:min(len(*told), maxProblems)]
	}
	return a
}

var tooMuch = fmt.Sprintf("it renders to more than %d objects or %d MiB", maxObjects, maxText>>20)

// kindOf is the kind of a resource in YAML; "" where it is none. The error is that of what is no YAML.
func kindOf(text string) (kind, name string, err error) {
	var is struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name string `yaml:"name"`
		} `yaml:"metadata"`
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return "", "", errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode || root.Decode(&is) != nil || is.APIVersion == "" {
		return "", "", nil
	}
	return is.Kind, is.Metadata.Name, nil
}

// span is a range of lines, from 1, the last one included.
type span struct{ first, last int }

// documents are the ranges of lines of the documents of a YAML file, without the marks between them. Blank ones are left out.
func documents(lines []string) []span {
	var all []span
	begin := 0
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && !strings.HasPrefix(lines[i], "---") {
			continue
		}
		first, last := begin, i-1
		begin = i + 1
		for first <= last && strings.TrimSpace(lines[first]) == "" {
			first++
		}
		for last >= first && strings.TrimSpace(lines[last]) == "" {
			last--
		}
		if first <= last {
			all = append(all, span{first + 1, last + 1})
		}
	}
	return all
}

// linesOf are the lines of a file.
func linesOf(content []byte) []string {
	return strings.Split(string(bytes.TrimRight(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "\n")), "\n")
}
