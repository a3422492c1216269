package ingest

import "testing"

// An expression that is wrong would only be found by the first document that needs it.
func TestEveryExpressionIsOne(t *testing.T) {
	for _, l := range byExtension {
		for _, e := range []*lazy{l.declaration, l.container, l.member} {
			if e != nil {
				e.compiled()
			}
		}
	}
	for _, e := range []*lazy{keyName, reference, setting, templateKind, templateName, markdownLink, headingID, htmlTag, shortcode, encrypted,
		userinfo, authorization, knownToken, keyBegin, keyEnd, keyLine, secretKind, secretData, lastApplied, entry, emptied, fence, argument} {
		e.compiled()
	}
}
