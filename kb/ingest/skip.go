package ingest

import (
	"path"
	"strings"
)

// locks are files that programs write to remember what they have chosen.
var locks = map[string]bool{
	"go.sum": true, "go.work.sum": true, "package-lock.json": true, "npm-shrinkwrap.json": true, "yarn.lock": true, "pnpm-lock.yaml": true,
	"bun.lock": true, "deno.lock": true, "cargo.lock": true, "gemfile.lock": true, "poetry.lock": true, "pdm.lock": true, "uv.lock": true,
	"pipfile.lock": true, "composer.lock": true, "podfile.lock": true, "mix.lock": true, "flake.lock": true, "packages.lock.json": true,
	"gradle.lockfile": true, ".terraform.lock.hcl": true, "buf.lock": true, "chart.lock": true, "requirements.lock": true, "pubspec.lock": true,
}

// folders are those of what others have written, or what a program has made.
var folders = map[string]bool{
	".git": true, "node_modules": true, "vendor": true, "third_party": true, "bower_components": true, ".terraform": true, "__pycache__": true,
	".venv": true, ".tox": true, ".idea": true, "_vendor": true, "site-packages": true,
}

// unread are extensions of files that hold no text, or none for a reader, and why.
var unread = func() map[string]string {
	all := map[string]string{}
	for reason, extensions := range map[string]string{
		"it is an image":                           "png jpg jpeg gif webp avif bmp ico icns tif tiff svg psd heic drawio",
		"it is audio, video or a font":             "mp3 mp4 m4a ogg wav flac mov avi mkv webm ttf otf woff woff2 eot",
		"it is an archive":                         "zip gz tgz bz2 xz zst 7z rar tar jar war ear whl deb rpm apk dmg iso",
		"it is a program or data":                  "exe dll so dylib a o obj lib bin class pyc pyo wasm node db sqlite sqlite3 parquet avro npy npz pkl pt onnx gguf safetensors",
		"this kind of office document is not read": "doc xls xlsx ppt pptx odt ods odp rtf",
		"it is made by a program":                  "map snap lock min.js min.css pb.go pb.gw.go pb.cc pb.h ipynb",
		mayHoldKeys:                                "pem key p12 pfx jks keystore kdbx gpg asc age env tfstate",
	} {
		for _, ext := range strings.Fields(extensions) {
			all[ext] = reason
		}
	}
	return all
}()

const mayHoldKeys = "it may hold keys"

// MayHoldKeys reports whether Skip says that of a file.
func MayHoldKeys(name string) bool { return Skip(name) == mayHoldKeys }

// Skip says why a file is no document, as far as its path tells; it is empty where that does not tell.
func Skip(name string) string {
	name = strings.ToLower(name)
	dir, base := path.Split(name)
	for folder := range strings.SplitSeq(dir, "/") {
		if folders[folder] {
			return "it is in a folder " + folder + ", of what others wrote or a program made"
		}
	}
	if locks[base] {
		return "it is a lock file"
	}
	switch {
	case base == ".env" || strings.HasPrefix(base, ".env.") && !strings.HasSuffix(base, ".example") && !strings.HasSuffix(base, ".sample"),
		base == ".netrc", base == ".npmrc", base == ".pypirc", base == ".htpasswd", base == ".git-credentials",
		strings.HasPrefix(base, "id_rsa"), strings.HasPrefix(base, "id_ed25519"), strings.HasPrefix(base, "id_ecdsa"),
		strings.HasSuffix(base, ".tfstate.backup"):
		return mayHoldKeys
	case strings.HasSuffix(base, "_pb2.py"), strings.HasSuffix(base, "_pb2_grpc.py"), strings.HasPrefix(base, "zz_generated."):
		return "it is made by a program"
	}
	// Extensions of one part and of two: .js and .min.js.
	for rest := base; ; {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return ""
		}
		if reason := unread[after]; reason != "" {
			return reason
		}
		rest = after
	}
}

// longLine is how long the lines of a script are on average, at least, that no person wrote.
const longLine = 500

// generated says why a text is no document: it says itself that a program made it, or nobody could have written it.
func generated(name string, lines []string) string {
	head := lines[:min(len(lines), 40)]
	for _, line := range head {
		if strings.HasPrefix(line, "// Code generated ") && strings.HasSuffix(line, " DO NOT EDIT.") {
			return "it is made by a program"
		}
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".js", ".mjs", ".cjs", ".css":
		n := 0
		for _, line := range lines {
			n += len(line)
		}
		if n > 10_000 && n/len(lines) > longLine {
			return "it is minified"
		}
	}
	return ""
}
