package models

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/ollama/ollama/api"
	ollamaname "github.com/ollama/ollama/types/model"

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
	base, err := j.base(ctx, recipe.From)
	if missing && err != nil {
		return fail(err)
	}
	if !missing {
		made, madeErr := j.memory.Made(ctx, j.model)
		digest, digestErr := j.digest(ctx)
		ours := madeErr == nil && digestErr == nil && digest == made
		if err != nil {
			if ours { // It is as it was made, of what is not there any more.
				return State{}, true
			}
			return fail(err)
		}
		is, err := j.models.Describe(ctx, j.model)
		if err != nil {
			return State{Reason: ServerUnavailable, Message: reason(err)}, false
		}
		if madeOf(is.Modelfile, recipe, base) {
			return State{}, true
		}
		if err := errors.Join(madeErr, digestErr); err != nil {
			return fail(err)
		}
		if !ours {
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
	if err := j.remember(ctx); err != nil {
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
		if m.adapters != nil {
			adapter, err := weightsOf(ctx, files, name, "ADAPTER", m.adapters[0])
			if err != nil {
				return r, err
			}
			r.Adapter = &adapter
		}
		if isModelName(files, name, m.from) {
			r.From = m.from
			return r, nil
		}
		r.Weights, err = weightsOf(ctx, files, name, "FROM", m.from)
		return r, err
	}
	r.Weights.Open = open
	r.Weights.Digest, err = digestOf(ctx, open)
	return r, err
}

// isModelName reports whether FROM in a Modelfile is the name of a model, and not the path of a file: one that is there, or looks like one.
func isModelName(files fs.FS, modelfile, from string) bool {
	if filepath.IsAbs(from) || strings.HasPrefix(from, ".") || strings.EqualFold(path.Ext(from), ".gguf") || !ollamaname.ParseName(from).IsValid() {
		return false
	}
	_, err := fs.Stat(files, path.Join(path.Dir(modelfile), from))
	return err != nil
}

// weightsOf is the GGUF file that an instruction of a Modelfile names.
func weightsOf(ctx context.Context, files fs.FS, modelfile, instruction, named string) (model.Blob, error) {
	file := named
	if !filepath.IsAbs(file) {
		file = path.Join(path.Dir(modelfile), file)
		if !fs.ValidPath(file) {
			return model.Blob{}, fmt.Errorf("%s: %s %s is outside of the repository; a path that begins with / is one on this machine", modelfile, instruction, named)
		}
	}
	b := model.Blob{Open: opener(files, file)}
	isGGUF, err := beginsWithMagic(b.Open)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, fmt.Errorf("%s: there is no file %s: %s names a GGUF file beside the Modelfile, or one on this machine with a path that begins with /", modelfile, file, instruction)
	case err == nil && !isGGUF:
		err = fmt.Errorf("%s is no GGUF file", file)
	}
	if err == nil {
		b.Digest, err = digestOf(ctx, b.Open)
	}
	if err != nil {
		return b, fmt.Errorf("%s: %w", modelfile, err)
	}
	return b, nil
}

// base is what the server shows of the model that another one is made of, once whoever gets it has done so; the zero one where name is
// "". A server that does not have it would pull it, unasked, and so it is not told to make anything.
func (j *job) base(ctx context.Context, name string) (modelfile, error) {
	if name == "" {
		return modelfile{}, nil
	}
	if model.SameName(name, j.model.Spec.Name) {
		return modelfile{}, fmt.Errorf("FROM names the model itself, %s", name)
	}
	if j.await != nil {
		if err := j.await(ctx, name); err != nil {
			return modelfile{}, err
		}
	}
	of := *j.model
	of.Spec.Name = name
	look, cancel := j.look(ctx)
	defer cancel()
	is, err := j.models.Describe(look, &of)
	if model.ReasonOf(err) == model.Missing {
		return modelfile{}, fmt.Errorf("the server does not have %s, which FROM names: declare it as a Model of its own with source: {}, or run `ollama pull %s`", name, name)
	}
	if err != nil {
		return modelfile{}, err
	}
	return parseShown(withoutLicense(is.Modelfile), true)
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

// madeOf reports whether a model whose Modelfile a server shows is what a recipe makes, of base where it names one. What both leave open
// the server may have filled in.
func madeOf(shown string, r model.Recipe, base modelfile) bool {
	is, err := parseShown(withoutLicense(shown), true)
	if err != nil {
		return false
	}
	want := base
	if r.From == "" {
		want = modelfile{from: string(r.Weights.Digest)}
	}
	if r.Adapter != nil {
		want.adapters = append(slices.Clone(want.adapters), string(r.Adapter.Digest))
	}
	if want.template = cmp.Or(r.Template, want.template); want.template == "" {
		want.template = is.template
	}
	want.system = cmp.Or(r.System, want.system)
	if len(r.Messages) > 0 {
		want.messages = r.Messages
	}
	has, hasErr := api.FormatParams(is.parameters)
	given, givenErr := api.FormatParams(want.parameters)
	if hasErr != nil || givenErr != nil {
		return false
	}
	if given == nil {
		given = map[string]any{}
	}
	maps.Copy(given, r.Parameters)
	for name, value := range given {
		if !reflect.DeepEqual(has[name], value) {
			return false
		}
	}
	return blobs(is.from) == blobs(want.from) && blobs(is.adapters...) == blobs(want.adapters...) && blobs(is.projectors...) == blobs(want.projectors...) &&
		is.template == want.template && is.system == want.system && reflect.DeepEqual(is.messages, want.messages)
}

// blobs are the digests in the paths of blobs, or the digests themselves.
func blobs(paths ...string) string {
	var all []string
	for _, p := range paths {
		p = strings.ReplaceAll(p, ":", "-")
		all = append(all, p[max(strings.LastIndex(p, "sha256-"), 0):])
	}
	return strings.Join(all, " ")
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
