package spec

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mainstay-dev/mainstay/spec/canonical"
)

// The values of [ModelSpec.Match].
const (
	// MatchStrict answers a request that is in the recording, and no other.
	MatchStrict = "strict"
	// MatchLenient answers a request that is not in it as the most similar one of the same turn.
	MatchLenient = "lenient"
)

// maxRecording bounds a recording, in bytes.
const maxRecording = 8 << 20

// Recorded is a request to a model in a recording, and its answer. Both are bodies as they are in a run's record.
type Recorded struct {
	Request, Answer json.RawMessage
	Usage           Usage
}

// recording is a file of a model of provider replay, or what is wrong with it.
type recording struct {
	digest  Digest
	answers []Recorded
	problem string
	hint    string
}

// recording reads a file once.
func (l *loader) recording(name string) *recording {
	if r := l.recordings[name]; r != nil {
		return r
	}
	r := &recording{}
	if l.recordings == nil {
		l.recordings = map[string]*recording{}
	}
	l.recordings[name] = r
	const write = "write it with mainstay logs RUN -o json > %s, and commit it"
	content, bad := l.named(name, maxRecording, fmt.Sprintf(write, name))
	if bad == nil && len(content) > maxRecording {
		bad = &unread{summary: fmt.Sprintf("it is larger than %d MiB", maxRecording>>20), hint: "record a shorter run"}
	}
	if bad != nil {
		r.problem, r.hint = bad.summary, bad.hint
		return r
	}
	r.digest = DigestBytes(content)
	var err error
	if r.answers, err = readRecording(content); err != nil {
		r.problem, r.hint = err.Error(), fmt.Sprintf(write, name)
	}
	return r
}

// readRecording reads the record of a run, as `mainstay logs -o json` writes it: the models' answers in it, in order.
func readRecording(content []byte) ([]Recorded, error) {
	var entries []Entry
	if err := json.Unmarshal(content, &entries); err != nil {
		return nil, fmt.Errorf("it is not the record of a run: %s", oneLine(err.Error()))
	}
	asked := map[int]json.RawMessage{}
	var all []Recorded
	for _, e := range entries {
		switch {
		case e.Type == EntryRequest && e.Request != nil && e.Request.Kind == RequestModel:
			asked[e.N] = e.Request.Body
		case e.Type == EntryAnswer && e.Answer != nil && e.Answer.Error == "" && asked[e.N] != nil:
			one := Recorded{}
			var err error
			if one.Request, err = canonical.JSON(asked[e.N]); err == nil {
				one.Answer, err = canonical.JSON(e.Answer.Body)
			}
			if err != nil {
				return nil, fmt.Errorf("its request %d cannot be read: %s", e.N, oneLine(err.Error()))
			}
			if e.Answer.Usage != nil {
				one.Usage = *e.Answer.Usage
			}
			delete(asked, e.N)
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no answer of a model in it")
	}
	return all, nil
}
