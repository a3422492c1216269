// Package jsonnet evaluates spec files that are written in Jsonnet, and says where in them each value was written.
//
// A program sees the files of its repository and one library, and nothing else: no clock, no environment, no disk, no
// external variable, no native function. The same files give the same value. An import is a path relative to the file that
// imports, which may not leave the repository, or "mainstay.libsonnet", the library that is built in; see [Library].
//
// Jsonnet is a full language, so a program may never end, and one line may ask for more memory than there is. [Evaluate]
// bounds only how deep calls are nested; it is what runs inside a process of its own. [Child] starts that process, limits
// its memory, its processor time and the time on the wall, reads a bounded answer, and ends it. Whoever reads files that
// other people wrote uses Child: it never even parses a program in the process that calls it.
//
// The engine does not say where a value comes from, so the places are found by reading the program a second time: names,
// calls, merges, imports and comprehensions are followed back to the expression that wrote the value. That is bounded in
// steps, and where it finds nothing the nearest value around it has a place.
package jsonnet
