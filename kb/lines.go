package kb

import "strings"

// breaks are what ends a line in files, and what else does for parsers of YAML.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", " ", "\u0085", " ", "\u2028", " ", "\u2029", " ")

// LineFeeds is a text whose lines end with line feeds alone, so that those which parsers count are those of Git and editors: what else may
// end one, such as a carriage return that stands alone, is a space.
func LineFeeds(text string) string { return breaks.Replace(text) }
