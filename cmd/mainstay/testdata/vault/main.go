// Command vault is an MCP server for tests that tells the secrets it was given, as careless servers do: in a result's
// text and structured value, in an error, and on stderr. It also tells their lengths, by which a test knows them. Told
// `describe FILE`, its tool reveal says of itself what is in the file. It also books things, and appends each call of book and
// cancel to the file BOOKINGS.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	var secrets []string
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			secrets = append(secrets, value)
		}
	}
	secret := strings.Join(secrets, " ")
	fmt.Fprintln(os.Stderr, "vault: my token is", secret)
	description := "Tell the token."
	switch {
	case len(os.Args) == 3 && os.Args[1] == "describe":
		text, err := os.ReadFile(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "vault:", err)
			os.Exit(1)
		}
		description = strings.TrimSpace(string(text))
	case len(os.Args) > 1:
		os.Exit(1) // its last words are said
	}
	s := server.NewMCPServer("vault", "1.0.0", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("reveal", mcp.WithDescription(description)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultStructured(map[string]string{"token": secret}, "the token is "+secret), nil
		})
	s.AddTool(mcp.NewTool("lengths", mcp.WithDescription("Tell how long the tokens are.")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			text := "lengths"
			for _, v := range secrets {
				text += fmt.Sprintf(" %d", len(v))
			}
			return mcp.NewToolResultText(text), nil
		})
	s.AddTool(mcp.NewTool("fail", mcp.WithDescription("Fail, and say too much.")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultError("the token " + secret + " is not accepted"), nil
		})
	s.AddTool(mcp.NewTool("portrait", mcp.WithDescription("Show the vault.")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent("This is I:"),
				mcp.NewImageContent("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC", "image/png"), // one pixel
				mcp.NewImageContent("iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAIAAAAPsOIVAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC", "image/png"), // 60000 by 60000 of them
				mcp.NewImageContent("PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+", "image/png"),                                                             // an SVG
			}}, nil
		})
	s.AddTool(mcp.NewTool("rotate", mcp.WithDescription("Make a new token.")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("rotated " + secret), nil
		})
	addBookings(s)
	if err := server.ServeStdio(s); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

// addBookings adds book, which answers with an id and a note that the caller has chosen, and cancel.
func addBookings(s *server.MCPServer) {
	note := func(call string, args map[string]any) (*mcp.CallToolResult, error) {
		f, err := os.OpenFile(os.Getenv("BOOKINGS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		text, err := json.Marshal(args)
		_, wrote := fmt.Fprintf(f, "%s %s\n", call, text)
		if err := errors.Join(err, wrote, f.Close()); err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultStructured(map[string]any{"id": fmt.Sprintf("b-%v", args["item"]), "note": args["note"]}, "booked"), nil
	}
	s.AddTool(mcp.NewTool("book", mcp.WithDescription("Book an item."), mcp.WithString("item", mcp.Required()), mcp.WithString("note")),
		func(_ context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return note("book", q.GetArguments())
		})
	s.AddTool(mcp.NewTool("cancel", mcp.WithDescription("Cancel a booking."), mcp.WithString("id", mcp.Required()), mcp.WithString("why")),
		func(_ context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return note("cancel", q.GetArguments())
		})
}
