package ingest

import "fmt"

// pdf adds the pages of a PDF file, and returns its title. The lines of a chunk are its pages.
func (c *cutter) pdf(content []byte) (string, error) {
	if c.readPDF == nil {
		return "", fmt.Errorf("%s: %w: nothing here reads PDF", c.path, ErrSkip)
	}
	title, pages, err := c.readPDF(c.ctx, content)
	if c.ctx.Err() != nil {
		return "", c.ctx.Err()
	}
	if err != nil {
		return "", c.failed(0, "save it anew, or leave it out with exclude", "its text cannot be read: %v", err)
	}
	for i, page := range pages {
		if i > 0 && len(page) > 0 {
			page = append([]string{""}, page...)
		}
		for _, line := range page {
			c.lines = append(c.lines, oneLine(line))
			c.at = append(c.at, span{i + 1, i + 1})
		}
	}
	c.lines = conceal(c.lines)
	c.section(nil, block{first: 0, last: len(c.lines) - 1})
	return title, nil
}
