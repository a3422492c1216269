package models

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ollama/ollama/api"

	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxModelfile bounds a Modelfile, in bytes.
const maxModelfile = 1 << 20

// magic begins every GGUF file. Nothing else is read from this machine's disk, so that no revision can have other files sent away.
const magic = "GGUF"

// create makes the model of its file, unless it is that already. It returns false, and the state, where it cannot.
func (j *job) create(ctx context.Context, missing bool) (State, bool) {
	fail := func(err error) (State, bool) {
		return State{Reason: CreateFailed, Message: fmt.Sprintf("it cannot be made of %s: %s", j.model.Spec.Source.File, reason(err))}, false
	}
	if !missing {
		j.tell(State{Reason: Checking, Message: "it is compared with " + j.model.Spec.Source.File})
	} else {
		j.tell(State{Reason: Creating, Message: "it is being made of " + j.model.Spec.Source.File})
	}
	recipe, err := readRecipe(ctx, j.want.files, j.model.Spec.Source.File)
	if err != nil {
		return fail(err)
	}
	if !missing {
		is, err := j.models.Describe(ctx, j.model)
		if err != nil {
			return State{Reason: ServerUnavailable, Message: reason(err)}, false
		}
		if madeOf(is.Modelfile, recipe) {
			return State{}, true
		}
		made, err := j.memory.Made(ctx, j.model)
		if err != nil {
			return fail(err)
		}
		if digest, err := j.digest(ctx); err != nil || digest != made {
			return State{Reason: DigestMismatch, Message: fmt.Sprintf("the server has another %s, which Mainstay has not made: choose another spec.name, or run `ollama rm %s` and it is made of %s",
				j.model.Spec.Name, j.model.Spec.Name, j.model.Spec.Source.File)}, false
		}
	}
	if j.only {
		return State{Reason: DigestMismatch, Message: fmt.Sprintf("the server's %s is not what %s makes: `mainstay models pull` says more", j.model.Spec.Name, j.model.Spec.Source.File)}, false
	}
	err = j.models.Create(ctx, j.model, recipe, func(p model.Progress) {
		j.tell(State{Reason: Creating, Message: "it is being made of " + j.model.Spec.Source.File + ": " + p.Doing})
	})
	if err != nil {
		if model.ReasonOf(err) == model.Unavailable && errors.Is(err, context.Canceled) {
			return State{Reason: ServerUnavailable, Message: reason(err)}, false
		}
		return fail(err)
	}
	digest, err := j.digest(ctx)
	if err == nil {
		err = j.memory.Remember(ctx, j.model, digest)
	}
	if err != nil {
		return fail(err)
	}
	return State{}, true
}

// readRecipe reads a GGUF file or a Modelfile. A path that begins with / is a GGUF file on this machine.
func readRecipe(ctx context.Context, files fs.FS, name string) (model.Recipe, error) {
	var r model.Recipe
	open := opener(files, name)
	isGGUF, err := beginsWithMagic(open)
	if err != nil {
		return r, err
	}
	if !isGGUF {
		if filepath.IsAbs(name) {
			return r, fmt.Errorf("%s is no GGUF file, and only such a file is read from outside of the repository", name)
		}
		m, err := readModelfile(open)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		r.Template, r.System, r.Licenses, r.Messages = m.template, m.system, m.licenses, m.messages
		if r.Parameters, err = api.FormatParams(m.parameters); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		weights := m.from
		if !filepath.IsAbs(weights) {
			weights = path.Join(path.Dir(name), weights)
			if !fs.ValidPath(weights) {
				return r, fmt.Errorf("%s: FROM %s is outside of the repository; a path that begins with / is one on this machine", name, m.from)
			}
		}
		open = opener(files, weights)
		isGGUF, err := beginsWithMagic(open)
		if errors.Is(err, fs.ErrNotExist) {
			return r, fmt.Errorf("%s: there is no file %s: FROM names a GGUF file beside the Modelfile, or one on this machine with a path that begins with /", name, weights)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		if !isGGUF {
			return r, fmt.Errorf("%s: %s is no GGUF file", name, weights)
		}
	}
	r.Weights.Open = open
	r.Weights.Digest, err = digestOf(ctx, open)
	return r, err
}

func opener(files fs.FS, name string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if filepath.IsAbs(name) {
			if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
				return nil, fmt.Errorf("%s is no file", name)
			}
			return os.Open(name)
		}
		return files.Open(name)
	}
}

func beginsWithMagic(open func() (io.ReadCloser, error)) (bool, error) {
	f, err := open()
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, len(magic))
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(begin[:n]) == magic, nil
}

func readModelfile(open func() (io.ReadCloser, error)) (modelfile, error) {
	f, err := open()
	if err != nil {
		return modelfile{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxModelfile+1))
	if err != nil {
		return modelfile{}, err
	}
	if len(text) > maxModelfile {
		return modelfile{}, fmt.Errorf("it is larger than %d bytes, and no GGUF file", maxModelfile)
	}
	return parseModelfile(string(text))
}

// digestOf reads a file to its end, which takes a while with gigabytes, and no longer than ctx.
func digestOf(ctx context.Context, open func() (io.ReadCloser, error)) (spec.Digest, error) {
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash, chunk := sha256.New(), make([]byte, 1<<20)
	for ctx.Err() == nil {
		n, err := f.Read(chunk)
		hash.Write(chunk[:n])
		if errors.Is(err, io.EOF) {
			return spec.Digest(fmt.Sprintf("sha256:%x", hash.Sum(nil))), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", ctx.Err()
}

// madeOf reports whether a model whose Modelfile a server shows is what a recipe makes. What a recipe leaves open the server may have
// filled in.
func madeOf(shown string, r model.Recipe) bool {
	is, err := parseModelfile(withoutLicense(shown))
	if err != nil {
		return false
	}
	has, err := api.FormatParams(is.parameters)
	if err != nil {
		return false
	}
	for name, value := range r.Parameters {
		if !reflect.DeepEqual(has[name], value) {
			return false
		}
	}
	return strings.HasSuffix(is.from, strings.Replace(string(r.Weights.Digest), ":", "-", 1)) && (r.Template == "" || r.Template == is.template) &&
		is.system == r.System && reflect.DeepEqual(is.messages, r.Messages)
}

// withoutLicense leaves out the licences, which a server shows as they are, quotes in them too.
func withoutLicense(shown string) string {
	var out bytes.Buffer
	for _, line := range strings.SplitAfter(shown, "\n") {
		if strings.HasPrefix(line, "LICENSE ") {
			break
		}
		out.WriteString(line)
	}
	return out.String()
}
