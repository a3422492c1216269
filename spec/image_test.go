package spec_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

// pixels is a small image in a form.
func pixels(t testing.TB, form string) []byte {
	t.Helper()
	m := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})
	var b bytes.Buffer
	var err error
	switch form {
	case "png":
		err = png.Encode(&b, m)
	case "jpeg":
		err = jpeg.Encode(&b, m, nil)
	case "gif":
		err = gif.Encode(&b, m, nil)
	case "VP8X":
		b.Write(webp(form, []byte{0, 0, 0, 0, 2, 0, 0, 1, 0, 0}))
	case "VP8L":
		b.Write(webp(form, append([]byte{0x2f}, binary.LittleEndian.AppendUint32(nil, 2|1<<14)...)))
	case "VP8 ":
		b.Write(webp(form, []byte{0, 0, 0, 0x9d, 0x01, 0x2a, 3, 0, 2, 0}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func webp(chunk string, held []byte) []byte {
	held = append(held, make([]byte, 20)...)
	size := func(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
	return slices.Concat([]byte("RIFF"), size(12+len(held)), []byte("WEBP"), []byte(chunk), size(len(held)), held)
}

func TestImagesAreKnownByTheirFirstBytes(t *testing.T) {
	for form, want := range map[string]string{"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "VP8X": "image/webp", "VP8L": "image/webp", "VP8 ": "image/webp"} {
		data := pixels(t, form)
		i, err := spec.NewImage(data)
		if err != nil || i.MediaType != want || i.Bytes != len(data) || i.Digest != spec.DigestBytes(data) || !bytes.Equal(i.Data, data) {
			t.Errorf("%s: got %+v, %v", form, i.Named(), err)
		}
	}
	i := spec.Image{Digest: spec.DigestBytes(nil), MediaType: "image/png\x1b[2J", Bytes: 12345}
	if got := i.String(); !strings.HasPrefix(got, "[image image/png") || !strings.HasSuffix(got, ", 12 KB, sha256:e3b0c44298fc]") || strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}

// A bomb is a PNG of 97 bytes that says it is 60000 by 60000 pixels.
const bomb = "iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAIAAAAPsOIVAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"

func TestWhatIsNoImageIsRefused(t *testing.T) {
	bombed, err := base64.StdEncoding.DecodeString(bomb)
	if err != nil {
		t.Fatal(err)
	}
	whole := pixels(t, "png")
	for _, test := range []struct {
		name string
		data []byte
		says string
	}{
		{"nothing", nil, "it is no PNG, JPEG, WebP or GIF image"},
		{"a text", []byte("I am cat.png, trust me."), "it is no PNG, JPEG, WebP or GIF image, whatever its name says"},
		{"an SVG", []byte("<?xml version=\"1.0\"?><SVG onload=\"alert(1)\"/>"), "an SVG is a program and no picture"},
		{"a PDF", []byte("%PDF-1.7"), "it is no PNG"},
		{"one that is too large", append(slices.Clone(whole), make([]byte, spec.MaxImage)...), "it has more than 3145728 bytes"},
		{"one that is cut off", whole[:20], "it begins as image/png and is none"},
		{"a text that begins as one", []byte("GIF89a is a fine format"), ""},
		{"a decompression bomb", bombed, "it is 60000 by 60000 pixels, and an image may be 8000 wide and high"},
		{"a WebP of 16384 by 1", webp("VP8L", append([]byte{0x2f}, binary.LittleEndian.AppendUint32(nil, 0x3fff)...)), "it is 16384 by 1 pixels"},
		{"a WebP without an image", webp("ICCP", nil), "its first chunk is that of no image"},
		{"a WebP that is cut off", []byte("RIFF\x00\x00\x00\x00WEBPVP8X"), "it ends before its size"},
	} {
		if _, err := spec.NewImage(test.data); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.says)
		}
	}
	if err := spec.CheckImages(make([]spec.Image, spec.MaxImages+1)); err == nil {
		t.Error("there are too many")
	}
	if err := spec.CheckImages([]spec.Image{{Bytes: spec.MaxImagesBytes}, {Bytes: 1}}); err == nil {
		t.Error("together they are too large")
	}
}

func FuzzImage(f *testing.F) {
	for _, form := range []string{"png", "jpeg", "gif", "VP8X", "VP8L", "VP8 "} {
		f.Add(pixels(f, form))
	}
	f.Add([]byte("<svg/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := spec.NewImage(data); err == nil && (i.MediaType == "" || i.Bytes != len(data)) {
			t.Errorf("got %+v", i.Named())
		}
	})
}
