package graph

import (
	"path"
	"strings"
)

// workflow reads which actions and reusable workflows a GitHub workflow uses, and which images its jobs run in.
func (c *collector) workflow(v value) {
	for _, job := range v.get("jobs").pairs() {
		c.action(job.get("uses"))
		for step := range job.get("steps").items() {
			c.action(step.get("uses"))
		}
		for _, container := range []value{job.get("container"), job.get("container", "image")} {
			if container.text() != "" {
				c.runs(c.file(), Runs, container)
			}
		}
		for _, service := range job.get("services").pairs() {
			if img := service.get("image"); img.text() != "" {
				c.runs(c.file(), Runs, img)
			}
		}
	}
}

func (c *collector) action(uses value) {
	text := uses.text()
	if text == "" {
		return
	}
	if img, found := strings.CutPrefix(text, "docker://"); found {
		node, version := image(img)
		c.add(Link{From: c.file(), Relation: Runs, To: node, Version: version, Line: uses.line()})
		return
	}
	name, version, _ := strings.Cut(text, "@")
	to := Node{Kind: KindAction, Name: name}
	if strings.HasPrefix(name, "./") {
		to = within(c.checkout(), name)
	}
	c.add(Link{From: c.file(), Relation: Uses, To: to, Version: version, Line: uses.line()})
}

// checkout is the folder that a workflow's own paths are relative to.
func (c *collector) checkout() string {
	root, _, _ := strings.Cut(c.Path, ".github/workflows/")
	return path.Clean(root)
}
