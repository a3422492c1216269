package kb

import "strings"

// Head is what a chunk of a document stands beneath: the document's title and the chunk's headings, joined by lines. A title that is the
// first heading too is there once.
func (d Document) Head(c Chunk) string {
	head := c.Heading
	if d.Title != "" && (len(head) == 0 || head[0] != d.Title) {
		head = append([]string{d.Title}, head...)
	}
	return strings.Join(head, "\n")
}

// Passage is a chunk of a document as it is embedded: with its head.
func (d Document) Passage(c Chunk) string {
	if head := d.Head(c); head != "" {
		return head + "\n\n" + c.Text
	}
	return c.Text
}
