package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mainstay-dev/mainstay/spec"
)

// severityNote is the severity of what is right and still worth saying.
const severityNote = "note"

// findings are what validate found, and its JSON form.
type findings struct {
	Valid bool `json:"valid"`
	// Digest is that of the whole fleet, where it is valid.
	Digest    spec.Digest `json:"digest,omitempty"`
	Resources int         `json:"resources"`
	Problems  []finding   `json:"problems"`
	// Notes have the severity note. They say what is checked and not acted on.
	Notes []finding `json:"notes"`
}

// finding is one problem.
type finding struct {
	spec.Problem
	// Env are the overlays with which it is there, sorted, where it is not there without one.
	Env []string `json:"env,omitempty"`
}

// String returns the problem in one line, and says with which overlays it is there.
func (f finding) String() string {
	if len(f.Env) > 0 {
		f.Summary += ", with " + overlays(f.Env)
	}
	return f.Problem.String()
}

// text is what a problem says, without its place.
func (f finding) text() string {
	f.Place, f.Severity = spec.Place{}, ""
	return f.String()
}

// overlays names overlays, of which there is at least one.
func overlays(envs []string) string {
	if len(envs) == 1 {
		return "the overlay " + envs[0]
	}
	return "the overlays " + and(envs)
}

// and lists words, of which there is at least one.
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return words[0]
}

func newFindings(fleet *spec.Fleet, problems spec.Problems) *findings {
	f := &findings{Valid: !problems.HasErrors(), Problems: []finding{}, Notes: []finding{}}
	for _, p := range problems {
		f.Problems = append(f.Problems, finding{Problem: p})
	}
	if !f.Valid {
		return f
	}
	f.Digest, f.Resources = fleet.Digest, len(fleet.Resources)
	for _, r := range fleet.Resources {
		if text := r.NotYetReconciled(); text != "" {
			f.Notes = append(f.Notes, finding{Problem: spec.Problem{Place: r.Place, Severity: severityNote, Summary: fmt.Sprintf("%s: %s", r.Ref, text)}})
		}
	}
	return f
}

// with adds the problems that are there with an overlay, but for those that are there without one too.
func (f *findings) with(env string, problems spec.Problems) {
	f.Valid = f.Valid && !problems.HasErrors()
	for _, p := range problems {
		i := slices.IndexFunc(f.Problems, func(known finding) bool { return known.Problem == p })
		switch {
		case i < 0:
			f.Problems = append(f.Problems, finding{Problem: p, Env: []string{env}})
		case len(f.Problems[i].Env) > 0:
			f.Problems[i].Env = append(f.Problems[i].Env, env)
		}
	}
}

// all are the problems, then the notes.
func (f *findings) all() []finding {
	return append(append([]finding{}, f.Problems...), f.Notes...)
}

// sum writes the line that ends valid findings.
func (f *findings) sum(w io.Writer, dir string) error {
	if !f.Valid {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: valid, %d resources, %s\n", dir, f.Resources, f.Digest)
	return err
}

// checkedOut is the path of dir within the Git checkout that holds it, with slashes: how Git hosts name its files. A folder
// outside a checkout stands for the root of one.
func checkedOut(dir string) string {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for root := full; ; root = filepath.Dir(root) {
		if _, err := os.Lstat(filepath.Join(root, ".git")); err == nil {
			if inner, err := filepath.Rel(root, full); err == nil {
				return filepath.ToSlash(inner)
			}
		}
		if root == filepath.Dir(root) {
			return "."
		}
	}
}

// github writes workflow commands, which GitHub and Forgejo show as annotations beside the lines.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func (f *findings) github(w io.Writer, root string) error {
	commands := map[string]string{spec.SeverityError: "error", spec.SeverityWarning: "warning", severityNote: "notice"}
	for _, p := range f.all() {
		properties := "title=mainstay validate"
		if p.File != "" {
			properties += ",file=" + githubProperty(path.Join(root, p.File))
		}
		if p.Line > 0 {
			properties += fmt.Sprintf(",line=%d", p.Line)
		}
		if p.Column > 0 {
			properties += fmt.Sprintf(",col=%d", p.Column)
		}
		if _, err := fmt.Fprintf(w, "::%s %s::%s\n", commands[p.Severity], properties, githubData.Replace(p.text())); err != nil {
			return err
		}
	}
	return nil
}

var githubData = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

func githubProperty(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(githubData.Replace(s))
}

// The types below are as much of SARIF 2.1.0 as a list of problems needs.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// sarif returns the problems for tools that collect those of many checkers. Its levels are named as our severities are.
func (f *findings) sarif(root string) sarifLog {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: "mainstay", Version: version(), Rules: []sarifRule{
			{spec.SeverityError, sarifText{"The revision cannot be used."}},
			{spec.SeverityWarning, sarifText{"The revision can be used, and this is worth a look."}},
			{severityNote, sarifText{"This version checks it and does not act on it yet."}},
		}}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, p := range f.all() {
		result := sarifResult{RuleID: p.Severity, Level: p.Severity, Message: sarifText{p.text()}}
		if p.File != "" {
			uri := url.URL{Path: path.Join(root, p.File)}
			at := sarifPhysical{Artifact: sarifArtifact{uri.String()}}
			if p.Line > 0 {
				at.Region = &sarifRegion{StartLine: p.Line, StartColumn: p.Column}
			}
			result.Locations = []sarifLocation{{at}}
		}
		run.Results = append(run.Results, result)
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}
