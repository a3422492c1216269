package ingest

import (
	"path"
	"strings"
)

// language says how declarations of a language look. It is no grammar: lines are matched, and indentation says what is within what.
type language struct {
	// declaration matches the first line of a declaration. Its groups name it: the first that is not empty, or where there are
	// several, all of them with a space between.
	declaration *lazy
	// container matches the first line of a declaration whose members are declarations, and member those that are only so there.
	container, member *lazy
	// comment are the beginnings of lines that belong to the declaration behind them.
	comment []string
	// spread says that the type may stand in a line of its own before the name.
	spread bool
	// ending says where a declaration ends.
	ending ending
}

type ending int

const (
	// endsWithBrace is at the line that closes what was opened, no further in than the first line, or at a semicolon.
	endsWithBrace ending = iota
	// endsWithIndent is before the next line that is no further in than the first line.
	endsWithIndent
	// endsWithWord is at a line with `end`, `}` or `esac`, no further in than the first line.
	endsWithWord
	// endsWithSemicolon is at the line that ends with a semicolon.
	endsWithSemicolon
	// endsWithNext is before the next declaration.
	endsWithNext
)

var (
	slashes = []string{"//", "/*", "*", "@", "#["}
	hashes  = []string{"#", "@"}
)

// modifiers are what stands before a declaration in Java and its kin.
const modifiers = `(?:(?:public|private|protected|internal|static|final|abstract|sealed|open|data|inner|override|suspend|inline|async|virtual|partial|readonly|default|native|synchronized|export|declare|actual|expect|operator|value|extern|unsafe|new)\s+)*`

var (
	python = &language{
		declaration: lazily(`^\s*(?:async\s+)?(?:def|class)\s+(\w+)`),
		container:   lazily(`^\s*class\s+\w+`),
		comment:     hashes, ending: endsWithIndent,
	}
	javascript = &language{
		declaration: lazily(`^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:(?:async\s+)?function\s*\*?\s*(\w+)|(?:class|interface|enum|namespace|module)\s+([\w.]+)|type\s+(\w+)(?:<[^=]*>)?\s*=|(?:const|let|var)\s+(\w+)\b[^=]*=)`),
		container:   lazily(`^\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:class|namespace|module)\s`),
		member:      lazily(`^\s+(?:(?:public|private|protected|static|async|readonly|override|get|set|\*)\s+)*(#?[A-Za-z_$][\w$]*)\s*(?:<[^>]*>)?\([^;]*$`),
		comment:     slashes,
	}
	java = &language{
		declaration: lazily(`^\s*` + modifiers + `(?:class|interface|@interface|enum|record)\s+(\w+)`),
		container:   lazily(`^\s*` + modifiers + `(?:class|interface|enum|record)\s`),
		member:      lazily(`^\s+` + modifiers + `(?:<[^>]+>\s+)?(?:[\w.<>\[\],?]+\s+)?(\w+)\s*\([^;=]*$`),
		comment:     slashes,
	}
	kotlin = &language{
		declaration: lazily(`^\s*` + modifiers + `(?:(?:class|interface|object|enum class|annotation class|typealias)\s+(\w+)|fun\s+(?:<[^>]+>\s+)?([\w.<>?]+)\s*\()`),
		container:   lazily(`^\s*` + modifiers + `(?:class|interface|object|enum class|companion object)\b`),
		comment:     slashes,
	}
	csharp = &language{
		declaration: lazily(`^\s*` + modifiers + `(?:class|interface|struct|enum|record(?:\s+struct)?|namespace|delegate\s+\S+)\s+([\w.]+)`),
		container:   lazily(`^\s*` + modifiers + `(?:class|interface|struct|record|namespace)\s`),
		member:      lazily(`^\s+` + modifiers + `(?:[\w.<>\[\],?]+\s+)?(\w+)\s*\([^;=]*$`),
		comment:     append([]string{"["}, slashes...),
	}
	rust = &language{
		declaration: lazily(`^\s*(?:pub(?:\([^)]*\))?\s+)?(?:default\s+)?(?:const\s+|async\s+|unsafe\s+|extern\s+(?:"[^"]*"\s+)?)*(?:(?:fn|struct|enum|trait|union|mod|type|static|const)\s+(\w+)|impl(?:<[^{]*?>)?\s+([^{]+?)\s*(?:where\b.*)?\{?\s*$|macro_rules!\s*(\w+))`),
		container:   lazily(`^\s*(?:pub(?:\([^)]*\))?\s+)?(?:unsafe\s+)?(?:impl|trait|mod)\b`),
		comment:     slashes,
	}
	c = &language{
		declaration: lazily(`^(?:(?:typedef\s+)?(?:struct|union|enum|class|namespace)(?:\s+class)?\s+(?:\w+\s+)?(\w+)[^;()]*$|[A-Za-z_][\w\s*&:<>,~]*?[\s*&]([A-Za-z_~][\w:~]*)\s*\([^;]*$|([A-Za-z_]\w*)\s*\([^;]*$|#define\s+(\w+)\(|template\s*<.*>\s*(?:class|struct)\s+(\w+))`),
		container:   lazily(`^(?:class|struct|namespace)\s`),
		member:      lazily(`^\s+(?:[\w:<>,*&~]+\s+)*[*&]*(~?[A-Za-z_]\w*)\s*\([^;]*$`),
		comment:     []string{"//", "/*", "*", "template"}, spread: true,
	}
	php = &language{
		declaration: lazily(`^\s*(?:(?:abstract|final|readonly|public|protected|private|static)\s+)*(?:class|interface|trait|enum|function)\s+&?(\w+)`),
		container:   lazily(`^\s*(?:(?:abstract|final|readonly)\s+)*(?:class|interface|trait|enum)\s`),
		comment:     append([]string{"#"}, slashes...),
	}
	swift = &language{
		declaration: lazily(`^\s*` + modifiers + `(?:(?:class|struct|protocol|enum|extension|actor|func)\s+([\w.]+))`),
		container:   lazily(`^\s*` + modifiers + `(?:class|struct|protocol|enum|extension|actor)\s`),
		comment:     slashes,
	}
	scala = &language{
		declaration: lazily(`^\s*(?:(?:private|protected|final|sealed|abstract|implicit|override|case|lazy)\s+)*(?:class|object|trait|def|enum)\s+(\w+)`),
		container:   lazily(`^\s*(?:(?:private|protected|final|sealed|abstract|implicit|case)\s+)*(?:class|object|trait|enum)\s`),
		comment:     slashes,
	}
	golike = &language{ // Go that does not parse, as in a template
		declaration: lazily(`^(?:func\s+(?:\([^)]*\)\s*)?(\w+)|type\s+(\w+))`),
		comment:     []string{"//"},
	}
	ruby = &language{
		declaration: lazily(`^\s*(?:def|class|module)\s+([\w.:?!]+)`),
		container:   lazily(`^\s*(?:class|module)\s`),
		comment:     []string{"#"}, ending: endsWithWord,
	}
	shell = &language{
		declaration: lazily(`^(?:function\s+([\w:.-]+)|([\w:.-]+)\s*\(\))`),
		comment:     []string{"#"}, ending: endsWithWord,
	}
	lua = &language{
		declaration: lazily(`^\s*(?:local\s+)?function\s+([\w.:]+)`),
		comment:     []string{"--"}, ending: endsWithWord,
	}
	sql = &language{
		declaration: lazily(`(?i)^\s*((?:create|alter|drop)\b(?:\s+(?:or\s+replace|unique|temp|temporary|materialized|table|view|index|function|procedure|trigger|type|schema|sequence|extension|policy|role|database|concurrently|if\s+not\s+exists|if\s+exists|only))+)\s+([\w."` + "`" + `\[\]]+)`),
		comment:     []string{"--"}, ending: endsWithSemicolon,
	}
	protobuf = &language{
		declaration: lazily(`^\s*(?:(?:message|service|enum)\s+(\w+)|extend\s+([\w.]+)|rpc\s+(\w+))`),
		container:   lazily(`^\s*(?:message|service)\s`),
		comment:     slashes,
	}
	graphql = &language{
		declaration: lazily(`^(?:extend\s+)?(?:type|interface|union|enum|input|scalar|directive|schema|query|mutation|fragment)\s+@?(\w+)`),
		comment:     []string{"#", `"`}, ending: endsWithBrace,
	}
	dockerfile = &language{
		declaration: lazily(`(?i)^FROM\s+(?:--\S+\s+)*(?:\S+\s+AS\s+(\S+)|(\S+))`),
		comment:     []string{"#"}, ending: endsWithNext,
	}
	makefile = &language{
		declaration: lazily(`^(?:define\s+)?([A-Za-z0-9_.%/$(){} -]+?)\s*::?(?:[^=:].*)?$`),
		comment:     []string{"#", ".PHONY"}, ending: endsWithNext,
	}
	settings = &language{ // TOML, INI and their kin
		declaration: lazily(`^\s*\[+\s*([^\]]+?)\s*\]+`),
		comment:     []string{"#", ";"}, ending: endsWithNext,
	}
	terraform = &language{
		declaration: lazily(`^([a-z_][\w-]*)((?:\s+(?:"[^"]*"|[\w-]+))*)\s*\{`),
		comment:     []string{"#", "//", "/*", "*"},
	}
)

// byExtension are the languages of extensions, in lower case.
var byExtension = map[string]*language{
	".py": python, ".pyi": python, ".bzl": python, ".star": python, ".bazel": python,
	".js": javascript, ".mjs": javascript, ".cjs": javascript, ".jsx": javascript, ".ts": javascript, ".mts": javascript, ".cts": javascript, ".tsx": javascript,
	".vue": javascript, ".svelte": javascript,
	".java": java, ".groovy": java, ".gradle": java, ".kt": kotlin, ".kts": kotlin, ".scala": scala, ".swift": swift, ".dart": java,
	".rs": rust, ".c": c, ".h": c, ".cc": c, ".cpp": c, ".cxx": c, ".hh": c, ".hpp": c, ".m": c, ".cs": csharp, ".php": php,
	".rb": ruby, ".rake": ruby, ".gemspec": ruby, ".lua": lua, ".sh": shell, ".bash": shell, ".zsh": shell, ".bats": shell, ".ksh": shell,
	".sql": sql, ".proto": protobuf, ".graphql": graphql, ".gql": graphql, ".mk": makefile, ".mak": makefile,
	".toml": settings, ".ini": settings, ".cfg": settings, ".conf": settings, ".service": settings, ".properties": settings, ".editorconfig": settings,
	".dockerfile": dockerfile,
}

// byPath returns the language of a file by its name.
func byPath(base string) *language {
	lower := strings.ToLower(base)
	switch {
	case lower == "dockerfile" || lower == "containerfile" || strings.HasPrefix(lower, "dockerfile."):
		return dockerfile
	case lower == "makefile" || lower == "gnumakefile":
		return makefile
	case lower == "jenkinsfile":
		return java
	case lower == "tiltfile" || lower == "build" || lower == "workspace":
		return python
	case lower == "rakefile" || lower == "gemfile" || lower == "vagrantfile":
		return ruby
	}
	return byExtension[path.Ext(lower)]
}

// languageOf returns the language of a file by its name, or that of the program that its first line asks for.
func languageOf(name string, lines []string) *language {
	if l := byPath(path.Base(name)); l != nil {
		return l
	}
	if path.Ext(name) != "" || len(lines) == 0 || !strings.HasPrefix(lines[0], "#!") {
		return nil
	}
	switch first := lines[0]; {
	case strings.Contains(first, "python"):
		return python
	case strings.Contains(first, "node") || strings.Contains(first, "deno"):
		return javascript
	case strings.Contains(first, "ruby"):
		return ruby
	case strings.Contains(first, "sh"):
		return shell
	}
	return nil
}
