// Package source turns a branch into revisions.
//
// It keeps the last revision that it saw, so that an outage changes nothing that runs. A revision is a commit of the
// branch; a branch that was forced elsewhere is just another revision. Its files are read from Git objects, at any
// time and for as long as anybody holds them.
//
// It never decides whether a revision is good, never waits or tries again by itself ([Backoff] says when a caller
// should), and never writes to the remote.
package source
