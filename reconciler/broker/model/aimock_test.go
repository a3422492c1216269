package model_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
)

// startAimock starts the mock server of others that MAINSTAY_TEST_AIMOCK names, and returns its URL. It is `llmock` of
// @copilotkit/aimock, which knows the wire formats from their documentation, as we do.
func startAimock(t *testing.T) string {
	t.Helper()
	command := os.Getenv("MAINSTAY_TEST_AIMOCK")
	if command == "" {
		t.Skip("SKIPPED: MAINSTAY_TEST_AIMOCK does not name a command llmock of @copilotkit/aimock; .ci/run installs it")
	}
	cmd := exec.Command(command, "--host", "127.0.0.1", "--port", "0", "--fixtures", "testdata/aimock.json", "--strict")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It is of no use any more.
		_ = cmd.Wait()
	})
	listens := regexp.MustCompile(`listening on (http://127\.0\.0\.1:\d+)`)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if found := listens.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() { // So that it never waits for us to read.
				}
			}()
			return found[1]
		}
	}
	t.Fatal("it ended before it listened")
	return ""
}

func TestTheServerOfOthersUnderstandsUs(t *testing.T) {
	url := startAimock(t)
	inEveryForm(t, func(t *testing.T, f form) {
		m := f.of(url)
		ask := func(t *testing.T, r model.Request) (model.Answer, string, error) {
			text := ""
			got, err := asking(t).Chat(t.Context(), m, r, func(piece string) { text += piece })
			return got, text, err
		}
		user := func(text string) model.Request {
			return model.Request{Instructions: "Be brief.", Messages: []plugins.Message{{Role: plugins.RoleUser, Text: text}}}
		}
		t.Run("text", func(t *testing.T) {
			got, text, err := ask(t, user("hello"))
			if err != nil || got.Text != "Good day to you, and to all who ask in earnest." || text != got.Text || got.Finish != plugins.FinishStop {
				t.Errorf("got %+v, in pieces %q, %v", got, text, err)
			}
			if f.spec.Provider != "ollama" && (got.Used.Input != 11 || got.Used.Output != 12) {
				t.Errorf("it took %+v", got.Used)
			}
		})
		t.Run("calls", func(t *testing.T) {
			r := user("weather")
			r.Tools = toolsOf("time", "weather")
			got, _, err := ask(t, r)
			want := []plugins.ToolUse{{Name: "weather", Arguments: json.RawMessage(`{"name":"Paris"}`)}, {Name: "time", Arguments: json.RawMessage(`{}`)}}
			if diff := cmp.Diff(want, got.Calls); err != nil || diff != "" || got.Finish != plugins.FinishCalls {
				t.Fatalf("%s%v", diff, err)
			}
			got.Calls[0].ID, got.Calls[1].ID = "call-1-0", "call-1-1"
			r.Messages = append(r.Messages, plugins.Message{Role: plugins.RoleAssistant, Calls: got.Calls},
				plugins.Message{Role: plugins.RoleTool, CallID: "call-1-0", Tool: "weather", Text: "20 degrees"},
				plugins.Message{Role: plugins.RoleTool, CallID: "call-1-1", Tool: "time", Text: "noon"})
			if got, _, err = ask(t, r); err != nil || got.Text != "It is warm." {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		t.Run("a schema", func(t *testing.T) {
			r := user("json")
			r.OutputSchema = json.RawMessage(`{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false}`)
			if got, _, err := ask(t, r); err != nil || got.Text != `{"ok":true}` {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		t.Run("cut for its length", func(t *testing.T) {
			if f.spec.Provider == "ollama" {
				return // Its Ollama knows no such end.
			}
			if got, _, err := ask(t, user("long")); err != nil || got.Finish != plugins.FinishLength {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		for _, fault := range []struct {
			task string
			want model.Reason
			says string
		}{
			{"busy", model.RateLimited, "slow down"},
			{"broken", model.Unavailable, "it broke"},
			{"cut", model.Unavailable, ""},
			{"what nobody has an answer for", model.Unavailable, ""},
		} {
			t.Run(fault.task, func(t *testing.T) {
				_, _, err := ask(t, user(fault.task))
				if err == nil || model.ReasonOf(err) != fault.want || !strings.Contains(err.Error(), fault.says) {
					t.Errorf("%s: got %v", model.ReasonOf(err), err)
				}
			})
		}
	})
}
