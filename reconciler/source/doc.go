// Package source turns a branch into revisions.
//
// It keeps the last revision that it saw, so that an outage changes nothing that runs. A revision is a commit of the
// branch; a branch that was forced elsewhere is just another revision. Its files are read from Git objects, at any
// time and for as long as anybody holds them.
//
// verify.go says whose commits may run: signatures of commits and tags, authors, and that the branch only goes forward.
//
// It never decides whether what a revision declares is good, never waits or tries again by itself ([Backoff] says when a caller
// should), and never writes to the remote.
package source
