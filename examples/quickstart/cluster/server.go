package cluster

import (
	"context"
	"io"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// The names of the tools.
const (
	ToolAdvisories = "list_advisories"
	ToolDeployment = "get_deployment"
	ToolRestart    = "restart_deployment"
)

// MetaKey is the field of a call's _meta that tells calls apart: for an approved action, its id.
const MetaKey = "mainstay.dev/idempotency-key"

// EnvFile is the variable that names the state file. Without it the file is cluster.json in the working directory.
const EnvFile = "CLUSTER_FILE"

// Serve answers MCP requests on stdin and stdout until stdin ends or ctx is cancelled, which are no errors.
func Serve(ctx context.Context, stdin io.Reader, stdout io.Writer, env func(string) string) error {
	path := env(EnvFile)
	if path == "" {
		path = "cluster.json"
	}
	stdio := server.NewStdioServer(newServer(Open(path, time.Now)))
	if err := stdio.Listen(ctx, stdin, stdout); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// advisoriesResult is the structured result of list_advisories.
type advisoriesResult struct {
	Image      string     `json:"image"`
	Advisories []advisory `json:"advisories"`
}

// advisory is an [Advisory] as it concerns one image.
type advisory struct {
	ID         string     `json:"id"`
	Severity   string     `json:"severity"`
	Title      string     `json:"title"`
	FixedImage string     `json:"fixedImage"`
	Restart    []Workload `json:"restart"`
}

func newServer(c *Cluster) *server.MCPServer {
	s := server.NewMCPServer("quickstart-cluster", "1.0.0", server.WithToolCapabilities(false))
	onDeployment := func(name string, call func(w Workload, key string) (Deployment, error), options ...mcp.ToolOption) {
		s.AddTool(mcp.NewTool(name, append(options,
			mcp.WithString("namespace", mcp.Required(), mcp.Description("namespace of the deployment")),
			mcp.WithString("name", mcp.Required(), mcp.Description("name of the deployment")),
			mcp.WithOutputSchema[Deployment](),
		)...), answerWithDeployment(call))
	}

	s.AddTool(mcp.NewTool(ToolAdvisories,
		mcp.WithDescription("List the security advisories about a container image, with the first image that is fixed"+
			" and the deployments to restart afterwards."),
		mcp.WithReadOnlyHintAnnotation(true),
		mcp.WithString("image", mcp.Required(), mcp.Description("repository and tag of the image")),
		mcp.WithOutputSchema[advisoriesResult](),
	), func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		image, err := req.RequireString("image")
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		found, err := c.Advisories(image)
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		result := advisoriesResult{Image: image, Advisories: []advisory{}}
		for _, a := range found {
			result.Advisories = append(result.Advisories, advisory{
				ID: a.ID, Severity: a.Severity, Title: a.Title, FixedImage: a.Repository + ":" + a.FixedIn, Restart: a.Restart,
			})
		}
		return mcp.NewToolResultJSON(result)
	})

	onDeployment(ToolDeployment, func(w Workload, _ string) (Deployment, error) { return c.Deployment(w) },
		mcp.WithDescription("Get one deployment: its image, its replicas and how many of them are ready."),
		mcp.WithReadOnlyHintAnnotation(true),
	)
	onDeployment(ToolRestart, c.Restart,
		mcp.WithDescription("Restart every pod of a deployment, one after the other."),
		mcp.WithReadOnlyHintAnnotation(false),
		mcp.WithDestructiveHintAnnotation(true),
		mcp.WithIdempotentHintAnnotation(false),
	)
	return s
}

// answerWithDeployment serves a tool that is about one deployment and answers with it. A refusal is a result that says so, not
// a protocol error, so that a model can read it.
func answerWithDeployment(call func(w Workload, key string) (Deployment, error)) server.ToolHandlerFunc {
	return func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		namespace, err := req.RequireString("namespace")
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		name, err := req.RequireString("name")
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		var key string
		if req.Params.Meta != nil {
			key, _ = req.Params.Meta.GetMetaField(MetaKey).(string)
		}
		d, err := call(Workload{Namespace: namespace, Name: name}, key)
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultJSON(d)
	}
}
