// Command vault is an MCP server for tests that tells the secrets it was given, as careless servers do: in a result's
// text and structured value, in an error, and on stderr. It also tells their lengths, by which a test knows them. Told
// `describe FILE`, its tool reveal says of itself what is in the file.
package main

import (
	"context"
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
	s.AddTool(mcp.NewTool("rotate", mcp.WithDescription("Make a new token.")),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("rotated " + secret), nil
		})
	if err := server.ServeStdio(s); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}
