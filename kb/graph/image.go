package graph

import (
	"strings"

	"github.com/distribution/reference"
)

// image is the node of an image by its reference, and its tag and digest as they are written. The name is whole: redis is
// docker.io/library/redis.
func image(text string) (Node, string) {
	text = strings.TrimSpace(text)
	if !plain(text) || strings.ContainsAny(text, "$") {
		return Node{}, ""
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Node{}, ""
	}
	node := Node{Kind: KindImage, Name: named.Name()}
	version := ""
	if tagged, ok := named.(reference.Tagged); ok {
		version = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		if version != "" {
			version += "@"
		}
		version += digested.Digest().String()
	}
	return node, version
}

// runs adds that something runs an image.
func (c *collector) runs(from Node, relation Relation, v value) {
	node, version := image(v.text())
	c.add(Link{From: from, Relation: relation, To: node, Version: version, Line: v.line()})
}

// images finds the images that values of a chart name: image: name:tag, or a mapping with repository and tag or digest, and maybe a
// registry.
func (c *collector) images(from Node, v value) { c.imagesIn(from, v, 0) }

func (c *collector) imagesIn(from Node, v value, depth int) {
	if depth > 32 {
		return
	}
	if repo := v.key("repository"); repo.text() != "" && !strings.Contains(repo.text(), "://") {
		tag, digest := v.key("tag").text(), v.key("digest").text()
		if tag != "" || digest != "" {
			name := repo.text()
			if registry := v.key("registry").text(); registry != "" {
				name = registry + "/" + name
			}
			if tag != "" {
				name += ":" + tag
			}
			if digest != "" {
				name += "@" + digest
			}
			node, version := image(name)
			c.add(Link{From: from, Relation: Runs, To: node, Version: version, Line: repo.line()})
		}
	}
	for key, item := range v.pairs() {
		if key.text() == "image" && item.text() != "" && strings.ContainsAny(item.text(), ":/") {
			c.runs(from, Runs, item)
		}
		c.imagesIn(from, item, depth+1)
	}
	for item := range v.items() {
		c.imagesIn(from, item, depth+1)
	}
}
