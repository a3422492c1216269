package spec

// The kinds in this file are checked like all others, and not reconciled by this version: their status says so.

// SkillSourceSpec brings skills from another Git repository. Each folder with a SKILL.md beneath Path is a skill.
type SkillSourceSpec struct {
	// URL is that of the repository.
	URL string `json:"url" check:"required,pattern=repository"`
	// Commit is the commit that is read.
	Commit string `json:"commit" check:"required,pattern=commit"`
	// Path is the folder that holds the skills, from that repository's root. Default: the root.
	Path string `json:"path,omitempty" check:"max=1024"`
	// Skills names the skills that are taken. Empty means all.
	Skills []string `json:"skills,omitempty" check:"max=1000"`
	// Credential is a token or password that reads the repository.
	Credential *SecretRef `json:"credential,omitempty"`
}

// EvaluationSpec are cases that an agent must pass.
type EvaluationSpec struct {
	// Agent is the agent that is tried.
	Agent string `json:"agent" check:"required" hint:"write agent: NAME"`
	// Model names a Model that takes the place of the agent's own. Default: the agent's.
	Model string `json:"model,omitempty"`
	// Cases are the tasks, and what must be true of the answers.
	Cases []Case `json:"cases" check:"required,max=1000" hint:"write cases, each with name, task and assert"`
	// Threshold is which part of the cases must pass, from 0 to 1.
	Threshold float64 `json:"threshold,omitempty" check:"default=1,min=0,max=1"`
}

// Case is one task of an Evaluation.
type Case struct {
	// Name tells the cases apart.
	Name string `json:"name" check:"required,pattern=name"`
	// Task is what the agent is told.
	Task string `json:"task" check:"required" hint:"write what the agent is told"`
	// Repeat is how often the case is tried; all tries must pass.
	Repeat int `json:"repeat,omitempty" check:"default=1,min=1,max=100"`
	// Assert is what must be true of the run.
	Assert []Assertion `json:"assert" check:"required,max=100" hint:"write assert: [{contains: TEXT}]"`
}

// Assertion is one thing that must be true of a run. Exactly one field is set.
type Assertion struct {
	// Contains is a text that the answer holds, in any case of letters.
	Contains string `json:"contains,omitempty"`
	// Excludes is a text that the answer does not hold, in any case of letters.
	Excludes string `json:"excludes,omitempty"`
	// Matches is a regular expression in RE2's syntax that the answer matches.
	Matches string `json:"matches,omitempty" check:"max=4096"`
	// CEL is an expression of type bool over `run`: output, calls (a list of tools' full names), turns, tokens, phase.
	CEL string `json:"cel,omitempty"`
	// Judge names an agent that is asked whether the answer is good.
	Judge string `json:"judge,omitempty"`
}

// WorkflowSpec runs agents as the steps of a graph.
type WorkflowSpec struct {
	// Description is one sentence for people.
	Description string `json:"description,omitempty" check:"max=1000"`
	// Parameters are what whoever starts the workflow gives it.
	Parameters map[string]Parameter `json:"parameters,omitempty" check:"max=64"`
	// Steps are the steps. Their order does not matter.
	Steps []WorkflowStep `json:"steps" check:"required,max=256" hint:"write steps, each with name, agent and task"`
	// Output names the step whose answer is the workflow's. Default: the only step that no other needs.
	Output string `json:"output,omitempty"`
}

// WorkflowStep is one step of a Workflow: a run of an agent.
type WorkflowStep struct {
	// Name tells the steps apart.
	Name string `json:"name" check:"required,pattern=name"`
	// Agent does the step.
	Agent string `json:"agent" check:"required" hint:"write agent: NAME"`
	// Task is what the agent is told. `{{ NAME }}` is a parameter, `{{ steps.NAME }}` the answer of a step that this one
	// needs.
	Task string `json:"task" check:"required" hint:"write what the agent is told"`
	// Needs names the steps that come before this one.
	Needs []string `json:"needs,omitempty" check:"max=64"`
	// Join says whether all the steps it needs must have succeeded, or any of them.
	Join string `json:"join,omitempty" check:"enum=all|any,default=all"`
	// When is a CEL expression of type bool over `steps` (a map of the answers of the steps it needs) and `parameters`. A step
	// for which it does not hold is skipped, with those that need it.
	When string `json:"when,omitempty"`
	// Retry says how often a step that failed is tried again. Default: never.
	Retry *Retry `json:"retry,omitempty"`
	// Timeout bounds the step, with all its tries.
	Timeout Duration `json:"timeout,omitempty" check:"min=1s,max=720h"`
}
