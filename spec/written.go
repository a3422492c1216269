package spec

// Written returns the spec of a resource as it was written, after the overlay was merged over
// it, as a JSON tree of nil, bool, int64, float64, string, []any and map[string]any. It is nil for a Skill, which is a
// folder, and for what the fleet does not declare. The caller may change what it gets.
func (f *Fleet) Written(ref Ref) map[string]any {
	f.index.Do(func() { // Most fleets are never asked.
		f.byRef = make(map[Ref]*document, len(f.documents))
		for _, d := range f.documents {
			f.byRef[d.ref()] = d
		}
	})
	d := f.byRef[ref]
	if d == nil {
		return nil
	}
	written, _ := d.spec.json().(map[string]any)
	return written
}
