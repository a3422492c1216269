package spec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
)

// The bounds of images.
const (
	// MaxImage is the size of one image, in bytes: the least of what those take who serve models.
	MaxImage = 3 << 20
	// MaxImages is how many a task or a tool's result has at most, and MaxImagesBytes how large they are together.
	MaxImages      = 16
	MaxImagesBytes = 4 << 20
	// MaxImageSide is its width and height, in pixels. Nothing here decodes an image, but whoever shows it to a model may, and a small
	// file can be a large image.
	MaxImageSide = 8000
)

// Image is an image that a model may be shown. Its data is in a run's record once, beside the task or in the answer of the tool; everywhere
// else its digest stands for it.
type Image struct {
	Digest Digest `json:"digest"`
	// MediaType is image/png, image/jpeg, image/webp or image/gif, as the data says.
	MediaType string `json:"mediaType"`
	// Bytes is the size of the data.
	Bytes int    `json:"bytes"`
	Data  []byte `json:"data,omitempty"`
}

// Named returns the image without its data.
func (i Image) Named() Image { i.Data = nil; return i }

// String names the image for people: `[image image/png, 12 KB, sha256:0123456789ab]`.
func (i Image) String() string {
	size := fmt.Sprintf("%d bytes", i.Bytes)
	if i.Bytes >= 1000 {
		size = fmt.Sprintf("%d KB", (i.Bytes+500)/1000)
	}
	return Visible(fmt.Sprintf("[image %s, %s, sha256:%s]", i.MediaType, size, i.Digest.Short()))
}

// NewImage looks at the beginning of data, which must be that of an image of one of the known types, whatever others say it is. The
// error says what is wrong.
func NewImage(data []byte) (Image, error) {
	if len(data) > MaxImage {
		return Image{}, fmt.Errorf("it has more than %d bytes, and an image may have no more: make it smaller", MaxImage)
	}
	i := Image{Digest: DigestBytes(data), Bytes: len(data), Data: data}
	var header func(*bytes.Reader) (image.Config, error)
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		i.MediaType, header = "image/png", func(r *bytes.Reader) (image.Config, error) { return png.DecodeConfig(r) }
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		i.MediaType, header = "image/jpeg", func(r *bytes.Reader) (image.Config, error) { return jpeg.DecodeConfig(r) }
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		i.MediaType, header = "image/gif", func(r *bytes.Reader) (image.Config, error) { return gif.DecodeConfig(r) }
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		i.MediaType, header = "image/webp", func(*bytes.Reader) (image.Config, error) { return webpHeader(data) }
	default:
		hint := ""
		if start := strings.ToLower(string(data[:min(len(data), 1024)])); strings.Contains(start, "<svg") {
			hint = "; an SVG is a program and no picture: draw it as PNG first"
		}
		return Image{}, fmt.Errorf("it is no PNG, JPEG, WebP or GIF image, whatever its name says%s", hint)
	}
	size, err := header(bytes.NewReader(data))
	switch {
	case err != nil:
		return Image{}, fmt.Errorf("it begins as %s and is none: %w", i.MediaType, err)
	case size.Width < 1 || size.Height < 1:
		return Image{}, fmt.Errorf("it is %d by %d pixels, which is nothing", size.Width, size.Height)
	case size.Width > MaxImageSide || size.Height > MaxImageSide:
		return Image{}, fmt.Errorf("it is %d by %d pixels, and an image may be %d wide and high: make it smaller", size.Width, size.Height, MaxImageSide)
	}
	return i, nil
}

// webpHeader reads the size in the first chunk of a WebP file (https://developers.google.com/speed/webp/docs/riff_container).
func webpHeader(data []byte) (image.Config, error) {
	const chunk = 12 // Its name, its size, and then what it holds.
	if len(data) < chunk+18 {
		return image.Config{}, errors.New("it ends before its size")
	}
	held := data[chunk+8:]
	uint24 := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
	switch string(data[chunk : chunk+4]) {
	case "VP8X":
		return image.Config{Width: 1 + uint24(held[4:]), Height: 1 + uint24(held[7:])}, nil
	case "VP8L":
		if held[0] == 0x2f {
			bits := binary.LittleEndian.Uint32(held[1:])
			return image.Config{Width: 1 + int(bits&0x3fff), Height: 1 + int(bits>>14&0x3fff)}, nil
		}
	case "VP8 ":
		if held[0]&1 == 0 && string(held[3:6]) == "\x9d\x01\x2a" {
			return image.Config{Width: int(binary.LittleEndian.Uint16(held[6:]) & 0x3fff), Height: int(binary.LittleEndian.Uint16(held[8:]) & 0x3fff)}, nil
		}
	}
	return image.Config{}, errors.New("its first chunk is that of no image")
}

// CheckImages says what is wrong with several images together.
func CheckImages(all []Image) error {
	sum := 0
	for _, i := range all {
		sum += i.Bytes
	}
	switch {
	case len(all) > MaxImages:
		return fmt.Errorf("there are %d images, and at most %d are taken", len(all), MaxImages)
	case sum > MaxImagesBytes:
		return fmt.Errorf("the images have %d bytes together, and at most %d are taken: make them smaller", sum, MaxImagesBytes)
	}
	return nil
}
