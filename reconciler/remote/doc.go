// Package remote is the one Git remote that Mainstay watches and writes: fetch, read, commit, sign, push.
//
// It keeps one bare store, on disk or in memory, of everything the remote's branches reach. The store is only a copy:
// the remote is the truth, and a damaged store is thrown away and fetched again. Files are read from Git objects.
//
// Reading is safe at any time, also while a fetch runs: a [Snapshot] never changes. Writing is a [CommitDraft] that
// becomes a signed commit in the store, and then a push that the server carries out only if its branch is still where
// the caller last saw it. Of two writers exactly one wins, and after any error the branch is read back, so that
// a caller knows whether it won, lost or must wait.
//
// It never checks anything out, follows a symbolic link, forces a branch other than a proposal's, runs a hook or
// a filter, or shows a credential in an error.
package remote
