package main

import "io/fs"

// isOwn is for systems where temporary files are shared; those of Windows are the user's own.
func isOwn(fs.FileInfo) bool { return true }
