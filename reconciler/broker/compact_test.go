package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/spec"
)

// said makes a history of so many questions and answers.
func said(pairs, bytes int) []spec.ThreadMessage {
	var history []spec.ThreadMessage
	for i := range pairs {
		history = append(history, spec.ThreadMessage{Role: spec.RoleUser, Text: fmt.Sprintf("question %d ", i) + strings.Repeat("q", bytes)},
			spec.ThreadMessage{Role: spec.RoleAssistant, Text: fmt.Sprintf("answer %d ", i) + strings.Repeat("a", bytes)})
	}
	return history
}

func (w *world) compact(history []spec.ThreadMessage) (*spec.Compaction, string) {
	w.t.Helper()
	c, refused, err := w.broker.Compact(w.t.Context(), spec.Task{Thread: "t", History: history}, w.agent)
	if err != nil {
		w.t.Fatal(err)
	}
	return c, refused
}

func TestAThreadThatFitsStays(t *testing.T) {
	w := newWorld(t)
	w.script(spec.ScriptRule{Text: "No summary is asked for."})
	for _, how := range []string{"", spec.CompactFail, spec.CompactDropOldest, spec.CompactSummarize, spec.CompactDropToolResults} {
		w.agent.Model.Spec.Context = &spec.Context{Window: 1000, Compact: how}
		if c, refused := w.compact(said(9, 50)); c != nil || refused != "" {
			t.Errorf("%s: %+v, %s", how, c, refused)
		}
	}
	w.agent.Model.Spec.Context = nil
	if c, refused := w.compact(said(1000, 100)); c != nil || refused != "" {
		t.Errorf("without a window: %+v, %s", c, refused)
	}
}

func TestAThreadThatDoesNotFitFailsUnlessTheModelDeclaresOtherwise(t *testing.T) {
	w := newWorld(t)
	w.script(spec.ScriptRule{Text: "No summary is asked for."})
	w.agent.Model.Name = "small"
	for _, how := range []string{"", spec.CompactFail, spec.CompactDropToolResults} {
		w.agent.Model.Spec.Context = &spec.Context{Window: 256, Compact: how}
		if c, refused := w.compact(said(10, 50)); c != nil || !strings.Contains(refused, "set spec.context.compact of Model/small to dropOldest or summarize") {
			t.Errorf("%s: %+v, %s", how, c, refused)
		}
	}
	w.agent.Model.Spec.Context = nil
	if _, refused := w.compact(said(1000, 200)); !strings.Contains(refused, "the agent's model is given 262144 of it") {
		t.Errorf("without a window: %s", refused)
	}
	// Ollama is told the window as a parameter.
	w.agent.Model.Spec.Provider, w.agent.Model.Spec.Parameters = spec.ProviderOllama, map[string]any{"num_ctx": 4096.0}
	if _, refused := w.compact(said(100, 50)); !strings.Contains(refused, "the agent's model is given 6144 of it") {
		t.Errorf("with num_ctx: %s", refused)
	}
	w.agent.Model = nil
	if _, refused := w.compact(said(1000, 200)); !strings.HasSuffix(refused, "of it: begin a new one") {
		t.Errorf("without a model: %s", refused)
	}
}

func TestTheModelSummarizesTheOldestMessages(t *testing.T) {
	w := newWorld(t)
	w.script(
		spec.ScriptRule{When: `instructions.contains("Write a summary") && last.role == "user" && last.text.contains("\"role\":\"assistant\",\"text\":\"answer 0 ")`,
			Text: "They talked of " + token + ".\n"},
		spec.ScriptRule{Text: "The rule must hold."},
	)
	w.tool("cluster__environment", "{}") // Now the broker knows the secret.
	w.agent.Model.Spec.Context = &spec.Context{Window: 1000, Compact: spec.CompactSummarize}
	history := said(12, 50)
	c, _ := w.compact(history)
	if c == nil || !c.Summarized || c.Usage == nil {
		t.Fatalf("it is %+v", c)
	}
	first, second := c.History[0], c.History[1]
	if first.Role != spec.RoleUser || second.Role != spec.RoleAssistant || second.Text != "They talked of [redacted]." {
		t.Errorf("it begins with %+v, %+v", first, second)
	}
	if kept := c.History[2:]; len(kept) == 0 || !slices.Equal(kept, history[c.Left:]) {
		t.Errorf("%d messages are left out, and kept are %+v", c.Left, kept)
	}

	w.script(spec.ScriptRule{Text: " "})
	w.agent.Model.Spec.Context = &spec.Context{Window: 1000, Compact: spec.CompactSummarize}
	if c, refused := w.compact(history); c != nil || !strings.Contains(refused, "wrote nothing") {
		t.Errorf("without a summary: %+v, %s", c, refused)
	}
}

func TestWhatIsCompactedFits(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(256, 3000).Draw(t, "window")
		w.script(spec.ScriptRule{Text: strings.Repeat("ü", rapid.IntRange(1, 2000).Draw(t, "summary"))})
		how := rapid.SampledFrom([]string{spec.CompactDropOldest, spec.CompactSummarize}).Draw(t, "compact")
		w.agent.Model.Spec.Context = &spec.Context{Window: window, Compact: how}
		var history []spec.ThreadMessage
		for i, size := range rapid.SliceOfN(rapid.IntRange(0, 2000), 0, 20).Draw(t, "sizes") {
			role := []string{spec.RoleUser, spec.RoleAssistant}[i%2]
			history = append(history, spec.ThreadMessage{Role: role, Text: strings.Repeat("é", size)})
		}
		if len(history)%2 == 1 {
			history = history[:len(history)-1]
		}
		c, refused := w.compact(history)
		if refused != "" {
			t.Fatal(refused)
		}
		if c == nil {
			return
		}
		bytes := 0
		for i, m := range c.History {
			bytes += len(m.Text)
			if want := []string{spec.RoleUser, spec.RoleAssistant}[i%2]; m.Role != want || !strings.Contains("é", m.Text) && strings.ToValidUTF8(m.Text, "?") != m.Text {
				t.Fatalf("message %d of %s is %q", i, m.Role, m.Text)
			}
		}
		if bytes > window*3/2 {
			t.Fatalf("%d bytes are left for a window of %d tokens", bytes, window)
		}
		if c.Left <= 0 || how == spec.CompactDropOldest && !slices.Equal(c.History, history[c.Left:]) {
			t.Fatalf("%d messages are left out, %d stay of %d", c.Left, len(c.History), len(history))
		}
	})
}
