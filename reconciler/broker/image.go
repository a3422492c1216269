package broker

import (
	"context"
	"fmt"
	"slices"

	"github.com/mainstay-dev/mainstay/plugins"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/spec"
)

// maxRunImages bounds the images of a run, and those of one request to a model, in bytes: about 22 MB in a provider's form.
const maxRunImages = 16 << 20

// keepImages returns the images of a tool's result as the agent knows them, and those that the record does not have yet. Where the run
// has as many as it may, the text says that one is left out.
func (c Call) keepImages(text *string, got []spec.Image) (named []plugins.Image, fresh []spec.Image) {
	sum := 0
	for _, i := range c.Images {
		sum += i.Bytes
	}
	for _, i := range got {
		_, known := c.Images[i.Digest]
		if known = known || slices.ContainsFunc(fresh, func(f spec.Image) bool { return f.Digest == i.Digest }); !known {
			if sum += i.Bytes; sum > maxRunImages {
				*text += fmt.Sprintf("\n[%s is left out: the images of a run have at most %d bytes]", i.Digest.Short(), maxRunImages)
				continue
			}
			fresh = append(fresh, i)
		}
		named = append(named, plugins.Image{Digest: string(i.Digest), MediaType: i.MediaType, Bytes: i.Bytes})
	}
	return named, fresh
}

// ownImages refuses messages that show an image which is not of the run, and has all others described as the record does.
func (c Call) ownImages(messages []plugins.Message) error {
	for n, message := range messages {
		if len(message.Images) > 0 && message.Role != plugins.RoleUser && message.Role != plugins.RoleTool {
			return refuse("message %d has the role %s and shows images: only those of the roles user and tool can", n, message.Role)
		}
		if len(message.Images) > plugins.MaxImages {
			return refuse("message %d shows %d images, at most %d are allowed", n, len(message.Images), plugins.MaxImages)
		}
		for at, named := range message.Images {
			i, ok := c.Images[spec.Digest(named.Digest)]
			if !ok {
				return refuse("message %d shows the image %.80q, which is neither of the task nor of a tool's result", n, named.Digest)
			}
			message.Images[at] = plugins.Image{Digest: string(i.Digest), MediaType: i.MediaType, Bytes: i.Bytes}
		}
	}
	return nil
}

// imagesOf are the data of the images that messages show, by digest.
func (c Call) imagesOf(messages []plugins.Message) map[string][]byte {
	var data map[string][]byte
	for _, message := range messages {
		for _, i := range message.Images {
			if data == nil {
				data = map[string][]byte{}
			}
			data[i.Digest] = c.Images[spec.Digest(i.Digest)].Data
		}
	}
	return data
}

// show leaves out of a request what a model cannot be shown: images of tools' results where it does not see, or where all images together
// are too many, the oldest of them. The text of a result says that there was one. What a person has attached stays, and a model that does
// not see is given none of the data, so that the request fails.
func (b *Broker) show(ctx context.Context, m *spec.Model, request model.Request) model.Request {
	if len(request.Images) == 0 {
		return request
	}
	sees := b.opts.Models.Sees(ctx, m)
	request.Messages = slices.Clone(request.Messages)
	shown, sum := map[string][]byte{}, 0
	for n := len(request.Messages) - 1; n >= 0; n-- {
		message := &request.Messages[n]
		more := 0
		for _, i := range message.Images {
			if _, there := shown[i.Digest]; !there {
				more += i.Bytes
			}
		}
		if message.Role == plugins.RoleTool && (!sees || sum+more > maxRunImages) {
			message.Images = nil
			continue
		}
		sum += more
		for _, i := range message.Images {
			if sees {
				shown[i.Digest] = request.Images[i.Digest]
			}
		}
	}
	request.Images = shown
	return request
}
