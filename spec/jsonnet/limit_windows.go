package jsonnet

// limitProcess does nothing: the child watches its memory itself, and the parent its time.
func limitProcess(limits) error { return nil }
