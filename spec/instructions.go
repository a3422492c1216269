package spec

import "strings"

// instructions renders what an agent's model is given before the conversation, as Markdown: who the agent is, what it is
// told to do, and which skills it may ask for. The same resources always give the same text.
func instructions(who *persona, prompt, own string, skills []*Skill) string {
	var b strings.Builder
	if who != nil {
		section(&b, "# Who you are")
		paragraph(&b, who.Role)
		if who.Tone != "" {
			paragraph(&b, "Tone: "+who.Tone)
		}
		list(&b, "## Goals", who.Goals)
		list(&b, "## Boundaries", who.Boundaries)
	}
	section(&b, "# Instructions")
	paragraph(&b, prompt)
	paragraph(&b, own)
	if len(skills) > 0 {
		section(&b, "# Skills")
		paragraph(&b, "Before you do what a skill is about, read it with the tool skills__read.")
		var items []string
		for _, s := range skills {
			items = append(items, s.Name+": "+s.Description)
		}
		list(&b, "", items)
	}
	return strings.TrimSpace(b.String()) + "\n"
}

func section(b *strings.Builder, heading string) { b.WriteString(heading + "\n\n") }

func paragraph(b *strings.Builder, text string) {
	if text = strings.TrimSpace(text); text != "" {
		b.WriteString(text + "\n\n")
	}
}

func list(b *strings.Builder, heading string, items []string) {
	if len(items) == 0 {
		return
	}
	if heading != "" {
		section(b, heading)
	}
	for _, item := range items {
		b.WriteString("- " + oneLine(item) + "\n")
	}
	b.WriteString("\n")
}
