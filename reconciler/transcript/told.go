package transcript

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/spec"
)

// lane is what a model was told and has said in one lane.
type lane struct {
	told  []plugins.Message
	tools []string
	said  []plugins.ModelAnswer
}

func lane0(name spec.Lane) spec.Lane { return cmp.Or(name, spec.MainLane) }

// model takes a request for a model's answer in, and reports false where it is none.
func (r *reading) model(s *Step, q spec.Request) bool {
	var asked plugins.ModelRequest
	if json.Unmarshal(q.Body, &asked) != nil {
		return false
	}
	r.turns++
	s.Model = &Model{Turn: r.turns}
	l := r.lanes[lane0(q.Lane)]
	if l == nil {
		l = &lane{}
		r.lanes[lane0(q.Lane)] = l
	}
	fresh := asked.Messages
	if n := len(l.told); n > 0 {
		if n <= len(fresh) && sameMessages(l.told, fresh[:n]) {
			fresh = fresh[n:]
		} else {
			s.Model.Afresh = true
		}
	}
	for _, m := range fresh {
		if s.Model.Afresh || !r.known(l, m) {
			s.Model.Told = append(s.Model.Told, m)
		}
	}
	if !slices.Equal(l.tools, asked.Tools) {
		s.Model.Tools = asked.Tools
	}
	l.told, l.tools = asked.Messages, asked.Tools
	return true
}

func sameMessages(a, b []plugins.Message) bool {
	return slices.EqualFunc(a, b, func(x, y plugins.Message) bool { return reflect.DeepEqual(x, y) })
}

// known says that a message tells nothing that the transcript has not told already.
func (r *reading) known(l *lane, m plugins.Message) bool {
	switch m.Role {
	case plugins.RoleAssistant:
		return slices.ContainsFunc(l.said, func(said plugins.ModelAnswer) bool {
			return said.Text == m.Text && slices.EqualFunc(said.Calls, m.Calls, func(a, b plugins.ToolUse) bool { return a.ID == b.ID })
		})
	case plugins.RoleTool:
		s := r.step(r.calls[m.CallID])
		return s != nil && s.Tool != nil && s.Answered && s.tells(m.Text)
	}
	return false
}

// tells reports whether a text is the result of a tool call, as runtimes write one to a model.
func (s Step) tells(text string) bool {
	if s.Refused != "" {
		return text == s.Refused || text == "error: "+s.Refused
	}
	if s.Tool.Proposal != nil {
		return true // What was decided is told in other words.
	}
	got := s.Tool.Result
	if got == nil {
		return false
	}
	for _, own := range []string{got.Text, string(got.Structured)} {
		if own != "" && (text == own || text == "error: "+own) {
			return true
		}
	}
	return text == ""
}
