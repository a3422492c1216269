package spec

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
)

// readLock reads the lock that holds: that of the environment, or else the one beside mainstay.yaml. found are the entries
// of the root.
func (l *loader) readLock(found map[string]fs.DirEntry) {
	name, e := LockFile, found[LockFile]
	if folder := path.Join("overlays", l.applied); l.applied != "" && fs.ValidPath(folder) && found["overlays"] != nil && found["overlays"].IsDir() {
		entries, _ := fs.ReadDir(l.root, folder) // That it cannot be read is reported with the overlay.
		for _, own := range entries {
			if own.Name() == LockFile {
				name, e = path.Join(folder, LockFile), own
			}
		}
	}
	if e == nil {
		return
	}
	l.cached(l.cachedFiles(), name, idOf(e), func() {
		if f := l.readRegular(name, e); f != nil {
			l.lock = l.parseLock(f)
		}
	})
}

// checkLock warns of what the lock pins and nobody declares, and of what it does not pin.
func (l *loader) checkLock() {
	hint := fmt.Sprintf("run `%s`, and commit what it writes", LockCommand(l.lock.File))
	servers, models := l.lock.top.at("servers"), l.lock.top.at("models")
	// An overlay may take something away that is there without it.
	all := l.applied == "" || l.lock.File != LockFile
	for _, name := range names(l.lock.Models) {
		if e := l.models[name]; all && (e == nil || !e.written.pinned()) {
			l.warn(models.keyOf(name), hint, "this pins the model %q, which is not one that has a digest", name)
		}
	}
	for _, name := range names(l.models) {
		if e := l.models[name]; e.written.pinned() && l.modelPin(e) == "" {
			l.warn(e.named, hint, "%s does not pin the model %q, so whatever its server has under that name answers", l.lock.File, name)
		}
	}
	for _, name := range names(l.lock.Servers) {
		if !all {
			break
		}
		if l.servers[name] == nil {
			l.warn(servers.keyOf(name), hint, "this pins the tool server %q, which is not declared", name)
			continue
		}
		for _, tool := range names(l.lock.Servers[name].Tools) {
			if l.servers[name].written.Tools[tool].callable() {
				continue
			}
			l.warn(servers.at(name, "tools").keyOf(tool), hint, "this pins the tool %q, which tool server %q does not declare", tool, name)
		}
	}
	for _, name := range names(l.servers) {
		for _, tool := range names(l.servers[name].written.Tools) {
			if _, ok := l.lock.Servers[name].Tools[tool]; !ok && l.servers[name].written.Tools[tool].callable() {
				l.warn(l.servers[name].spec.at("tools").keyOf(tool), hint, "%s does not pin the tool %q, so the tool server is refused", l.lock.File, tool)
			}
		}
	}
}

// checkLockedRuntimes is [loader.checkLock] for what agents name.
func (l *loader) checkLockedRuntimes() {
	file := LockFile
	if l.lock != nil {
		file = l.lock.File
	}
	hint := fmt.Sprintf("run `%s`, and commit what it writes", LockCommand(file))
	used := map[string]bool{DefaultRuntime: false}
	for _, a := range l.agentList {
		if used[a.Runtime] || a.Runtime == DefaultRuntime {
			continue
		}
		used[a.Runtime] = true
		at := l.agents[a.Ref.Name].spec.at("runtime")
		switch {
		case len(a.RuntimePin) > 0:
		case l.lock != nil:
			l.warn(at, hint, "%s does not pin the runtime %q, so it is refused", file, a.Runtime)
		case IsRuntimePath(a.Runtime) && Patterns["runtime"].matches(a.Runtime):
			l.warn(at, hint, "there is no %s that pins the runtime %q, so it is refused", file, a.Runtime)
		}
	}
	if l.lock == nil {
		return
	}
	for _, name := range names(l.lock.Runtimes) {
		if !used[name] && (l.applied == "" || l.lock.File != LockFile) {
			l.warn(l.lock.top.at("runtimes").keyOf(name), hint, "this pins the runtime %q, which no agent names", name)
		}
	}
}

// runtimePins are what the lock pins of runtimes.
func (l *loader) runtimePins() map[string]RuntimePin {
	if l.lock == nil {
		return nil
	}
	return l.lock.Runtimes
}

// callable reports whether agents may be given the tool.
func (t ToolSpec) callable() bool { return t.Effect == EffectRead || t.Effect == EffectWrite }

// pinned reports whether a lock can pin the model: whether its server tells a digest.
func (m ModelSpec) pinned() bool { return m.Provider == ProviderOllama }

// Pinned are the names of the tools that a lock pins: those that agents may be given.
func (s *ToolServer) Pinned() []string {
	var all []string
	for _, name := range names(s.Spec.Tools) {
		if s.Spec.Tools[name].callable() {
			all = append(all, name)
		}
	}
	return all
}

// Pins is the part of the lock that pins what is declared, or nil where there is no lock.
func (f *Fleet) Pins() *Lock {
	if f.Lock == nil {
		return nil
	}
	lock := NewLock(f.Lock.File)
	for _, a := range f.Agents {
		if len(a.RuntimePin) > 0 {
			lock.Runtimes[a.Runtime] = a.RuntimePin
		}
	}
	for name, m := range f.Models {
		if m.Pin != "" {
			lock.Models[name] = ModelPin{Digest: m.Pin}
		}
	}
	for name, s := range f.Servers {
		if len(s.Pins) > 0 {
			lock.Servers[name] = ServerPin{Tools: s.Pins}
		}
	}
	return lock
}

// Pinned reports whether a lock pins the model: whether its server tells a digest.
func (m *Model) Pinned() bool { return m.Spec.pinned() }

// pinsOf are what the lock pins of the tools that a server declares.
func (l *loader) pinsOf(e *entry[ToolServerSpec]) map[string]ToolPin {
	if l.lock == nil {
		return nil
	}
	pins := map[string]ToolPin{}
	for name, pin := range l.lock.Servers[e.name].Tools {
		if e.written.Tools[name].callable() {
			pins[name] = pin
		}
	}
	return pins
}

// pinned tells apart what a server is pinned to, and where.
func (l *loader) pinned(e *entry[ToolServerSpec], pins map[string]ToolPin) string {
	if l.lock == nil {
		return ""
	}
	return l.lock.File + " " + string(l.digest(e.top.place(), pins))
}

// modelPin is the digest that the lock pins for a model, or "".
func (l *loader) modelPin(e *entry[ModelSpec]) Digest {
	if l.lock == nil || !e.written.pinned() {
		return ""
	}
	return l.lock.Models[e.name].Digest
}

// CheckPins compares what a server says of its tools with pins, by the tools' names. The error is a [*LockMismatch]. A tool
// that is declared and that the server does not have is nothing that could be called.
func (s *ToolServer) CheckPins(pins, said map[string]ToolPin) error {
	m := &LockMismatch{Resource: s.Ref, File: cmp.Or(s.LockFile, LockFile)}
	for _, name := range s.Pinned() {
		is, has := said[name]
		pin, pinned := pins[name]
		switch {
		case !has:
		case !pinned:
			m.Unpinned = append(m.Unpinned, "tool "+name)
		case !pin.Same(is):
			m.Changes = append(m.Changes, pin.Changes(s.Name, name, is)...)
		}
	}
	if m.Changes == nil && m.Unpinned == nil {
		return nil
	}
	return m
}
