package spec

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/spec/near"
)

// folders are what is read beneath the root, besides .agents/skills.
var folders = []string{
	"actions", "agents", "evaluations", "knowledge", "models", "overlays", "personas", "policies", "prompts", "skills",
	"tools", "triggers", "workflows",
}

// RollbackPaths are what a rollback brings back, from the folder that holds mainstay.yaml: all that declares something but
// the Actions, which were approved once and are executed once, whatever is declared later.
func RollbackPaths() []string {
	paths := []string{".agents/skills", rootFile, LockFile}
	for _, folder := range folders {
		if folder != "actions" {
			paths = append(paths, folder)
		}
	}
	return paths
}

// folderKinds are the kinds that a folder gives to its Markdown files. In skills/ they are skills.
var folderKinds = map[string]Kind{
	"actions": KindAction, "agents": KindAgent, "evaluations": KindEvaluation, "knowledge": KindKnowledgeSource,
	"models": KindModel, "personas": KindPersona, "policies": KindPolicy, "prompts": KindPrompt, "skills": KindSkillSource,
	"tools": KindToolServer, "triggers": KindTrigger, "workflows": KindWorkflow,
}

// Written are the kinds that a file can declare, with the written form of their spec. A Skill is a folder instead.
var Written = map[Kind]reflect.Type{
	KindAction: reflect.TypeFor[ActionSpec](), KindAgent: reflect.TypeFor[AgentSpec](),
	KindEvaluation: reflect.TypeFor[EvaluationSpec](), KindFleet: reflect.TypeFor[FleetSpec](),
	KindKnowledgeSource: reflect.TypeFor[KnowledgeSourceSpec](), KindModel: reflect.TypeFor[ModelSpec](),
	KindPersona: reflect.TypeFor[PersonaSpec](), KindPolicy: reflect.TypeFor[PolicySpec](),
	KindPrompt: reflect.TypeFor[PromptSpec](), KindSkillSource: reflect.TypeFor[SkillSourceSpec](),
	KindToolServer: reflect.TypeFor[ToolServerSpec](), KindTrigger: reflect.TypeFor[TriggerSpec](),
	KindWorkflow: reflect.TypeFor[WorkflowSpec](),
}

// writtenKinds are the names of the kinds that a file can declare, sorted.
var writtenKinds = sync.OnceValue(func() []string {
	var all []string
	for kind := range Written {
		all = append(all, string(kind))
	}
	slices.Sort(all)
	return all
})

// OnlyChecked reports whether resources of the kind are checked, and this version does not act on them.
func (k Kind) OnlyChecked() bool {
	switch k {
	case KindEvaluation, KindSkillSource, KindWorkflow:
		return true
	}
	return false
}

// word is the kind in a sentence.
func (k Kind) word() string {
	switch k {
	case KindToolServer:
		return "tool server"
	case KindKnowledgeSource:
		return "knowledge source"
	case KindSkillSource:
		return "skill source"
	}
	return strings.ToLower(string(k))
}

// declared says where resources of the kind are.
func (k Kind) declared() string {
	switch k {
	case KindSkill:
		return "a skill is a folder skills/NAME with a SKILL.md"
	case KindFleet:
		return "it is declared in " + rootFile
	}
	for folder, kind := range folderKinds {
		if kind == k {
			return fmt.Sprintf("declare it in %s/", folder)
		}
	}
	return ""
}

// FileOf is the path from the root of the file that a resource alone would be in: mainstay.yaml for the Fleet, and
// `agents/triage.yaml` for an Agent. It is "" for a Skill, which is a folder.
func FileOf(r Ref) string {
	if r.Kind == KindFleet {
		return rootFile
	}
	for folder, kind := range folderKinds {
		if kind == r.Kind {
			return folder + "/" + r.Name + ".yaml"
		}
	}
	return ""
}

// header is what every resource in YAML and JSON begins with.
type header struct {
	APIVersion string   `json:"apiVersion"`
	Kind       Kind     `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	Spec       *node    `json:"spec"`
	// Status is what `mainstay build` writes, and what a cluster would. It is not read.
	Status *node `json:"status"`
}

// document reads the header of a resource.
func (l *loader) document(f *file, top string, n *node) {
	if n.kind != objectNode {
		l.error(n, "it begins with apiVersion: "+APIVersion, "a resource is a map of fields, not %s", n.describe())
		return
	}
	if n.has("sops") && !n.has("apiVersion") {
		l.error(n, "move it to the folder secrets/ beside mainstay.yaml", "this file is encrypted with SOPS, and is no resource")
		return
	}
	d := &document{file: f, top: n}
	var h header
	l.decode(d, n, &h, "a resource")
	d.kind, d.name, d.labels, d.spec = h.Kind, h.Metadata.Name, h.Metadata.Labels, h.Spec
	d.named = n.at("metadata", "name")
	if !l.version(n, h.APIVersion) || !l.kind(n, h.Kind) {
		return
	}
	if d.spec == nil || d.spec.kind == nullNode {
		d.spec = &node{kind: objectNode, file: f, line: n.line, column: n.column}
	}
	if top == "overlays" {
		d.env = strings.Split(f.path, "/")[1]
		l.documents = append(l.documents, d)
		return
	}
	base := path.Base(f.path)
	switch {
	case d.kind == KindFleet && f.path != rootFile:
		l.error(n.at("kind"), "the folder of that file is the root of the spec repository", "a Fleet is declared in %s alone", rootFile)
		return
	case d.kind == KindPolicy && top != "policies" && f.path != rootFile:
		l.error(n.at("kind"), "move it to policies/, which no agent may propose to change", "a Policy is declared in policies/ alone")
		return
	case d.kind == KindAction && n.get("status") != nil:
		l.error(n.keyOf("status"), "remove it", "an Action is approved as it stands, and has no status")
	case d.kind == KindAction && top != "actions":
		l.error(n.at("kind"), "move it to actions/", "an Action is declared in actions/ alone")
		return
	case d.kind != KindAction && top == "actions":
		l.error(n.at("kind"), d.kind.declared(), "actions/ holds Actions alone")
		return
	case d.kind == KindAction && d.name != "" && f.path != "actions/"+d.name+".yaml":
		l.error(d.named, fmt.Sprintf("name it %s.yaml", d.name), "an Action's file is named after it, not %s", base)
	}
	l.documents = append(l.documents, d)
}

func (l *loader) version(n *node, version string) bool {
	if version == APIVersion {
		return true
	}
	switch {
	case version == "":
		l.error(n.at("apiVersion"), "write apiVersion: "+APIVersion, "the resource has no apiVersion")
	case strings.HasPrefix(version, "mainstay.dev/"):
		l.error(n.at("apiVersion"), "this version reads "+APIVersion, "unknown apiVersion %q", version)
	default:
		l.error(n.at("apiVersion"), "this version reads "+APIVersion+"; move other files out of this folder", "unknown apiVersion %q", version)
	}
	return false
}

func (l *loader) kind(n *node, kind Kind) bool {
	known := "known are " + strings.Join(writtenKinds(), ", ")
	switch {
	case Written[kind] != nil:
		return true
	case kind == "":
		l.error(n.at("kind"), known, "the resource has no kind")
	case kind == KindSkill:
		l.error(n.at("kind"), KindSkill.declared(), "a Skill has no manifest")
	default:
		l.error(n.at("kind"), near.Hint(string(kind), writtenKinds(), known), "unknown kind %q", kind)
	}
	return false
}

// decode fills target, a pointer to a struct, and marks the document as broken where that is not possible.
func (l *loader) decode(d *document, n *node, target any, what string) {
	strict := &decoder{report: func(p Place, summary, hint string) { l.errorAt(p, hint, "%s", summary) }}
	strict.decode(n, reflect.ValueOf(target).Elem(), what)
	d.broken = d.broken || strict.broken
	d.later = append(d.later, strict.later...)
}

// indexAll decodes all documents and finds those that have the same name.
func (l *loader) indexAll() {
	l.personas, l.prompts = map[string]*entry[PersonaSpec]{}, map[string]*entry[PromptSpec]{}
	l.models, l.servers = map[string]*entry[ModelSpec]{}, map[string]*entry[ToolServerSpec]{}
	l.policies, l.triggers, l.actions = map[string]*entry[PolicySpec]{}, map[string]*entry[TriggerSpec]{}, map[string]*entry[ActionSpec]{}
	l.sources, l.knowledge = map[string]*entry[SkillSourceSpec]{}, map[string]*entry[KnowledgeSourceSpec]{}
	l.evaluations, l.workflows = map[string]*entry[EvaluationSpec]{}, map[string]*entry[WorkflowSpec]{}
	l.skills = make(map[string]*Skill, len(l.skillList))
	for _, s := range l.skillList {
		if first, ok := l.skills[s.Name]; ok {
			l.errorAt(Place{File: s.Place.File}, "rename or remove one of them", "Skill %q is declared twice: also at %s", s.Name, first.Place.File)
			continue
		}
		l.skills[s.Name] = s
	}
	var agents []*document
	for _, d := range l.documents {
		switch d.kind {
		case KindFleet:
			e := decoded[FleetSpec](l, d)
			if len(l.fleet) > 0 {
				l.error(d.top, "keep one of them", "the Fleet is declared twice: also at %s", l.fleet[0].top.place())
			}
			l.fleet = append(l.fleet, e)
		case KindAgent:
			agents = append(agents, d)
		case KindPersona:
			index(l, l.personas, d)
		case KindPrompt:
			index(l, l.prompts, d)
		case KindModel:
			index(l, l.models, d)
		case KindToolServer:
			index(l, l.servers, d)
		case KindPolicy:
			index(l, l.policies, d)
		case KindTrigger:
			index(l, l.triggers, d)
		case KindAction:
			index(l, l.actions, d)
		case KindSkillSource:
			index(l, l.sources, d)
		case KindKnowledgeSource:
			index(l, l.knowledge, d)
		case KindEvaluation:
			index(l, l.evaluations, d)
		case KindWorkflow:
			index(l, l.workflows, d)
		}
	}
	l.indexAgents(agents)
	warnAlike(l, alike(names(l.models)), l.models)
	warnAlike(l, alike(names(l.servers)), l.servers)
	warnAlike(l, alike(names(l.policies)), l.policies)
}

// decoded returns a document as its written form, which is made once.
func decoded[S any](l *loader, d *document) *entry[S] {
	if e, ok := d.entry.(*entry[S]); ok {
		for _, p := range d.found {
			l.add(p)
		}
		return e
	}
	before, more := len(l.problems), l.more
	e := &entry[S]{document: d}
	l.decode(d, d.spec, &e.written, "the spec of "+article(d.kind))
	d.unnamed = !l.name(d)
	if l.more == more { // Otherwise some of what is wrong is not known.
		d.entry, d.found = e, append(Problems(nil), l.problems[before:]...)
	}
	return e
}

// index decodes a document and adds it to the resources of its kind.
func index[S any](l *loader, resources map[string]*entry[S], d *document) {
	e := decoded[S](l, d)
	if d.unnamed {
		return
	}
	add(l, resources, e)
}

// add adds a resource to those of its kind, or reports that there is one of its name.
func add[S any](l *loader, resources map[string]*entry[S], e *entry[S]) {
	if first, ok := resources[e.name]; ok {
		l.error(e.named, "rename or remove one of them", "%s %q is declared twice: also at %s", e.kind, e.name, first.named.place())
		return
	}
	resources[e.name] = e
}

func article(kind Kind) string {
	if strings.Contains("AEIOU", string(kind[:1])) {
		return "an " + string(kind)
	}
	return "a " + string(kind)
}

// name checks the name of a resource.
func (l *loader) name(d *document) bool {
	switch err := CheckName(d.name); {
	case d.name == "":
		l.missing(d, d.top.at("metadata"), "write metadata: {name: ...}", "the %s has no name", d.kind.word())
		return false
	case d.kind == KindAction && len(d.name) > maxActionID:
		l.error(d.named, "", "the name of an Action is at most %d characters long", maxActionID)
		return false
	case d.kind == KindAction:
		return true // Its own rules hold.
	case err != nil:
		hint := ""
		if d.named.line == 0 {
			hint = "rename the file, which names the " + d.kind.word()
		}
		l.error(d.named, hint, "%s", err)
		return false
	case d.kind == KindAgent && (d.name == "runs" || d.name == "ledger" || d.name == string(RollbackAgent)):
		l.error(d.named, "choose another name", "the agent name %q is reserved for a branch of Mainstay", d.name)
	case d.kind == KindToolServer && slices.Contains(ownServers, d.name):
		l.error(d.named, "choose another name", "the tool server name %q is reserved for Mainstay's own tools", d.name)
	}
	return true
}
