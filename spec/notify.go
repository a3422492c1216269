package spec

import "slices"

// The events that a webhook can be told of.
const (
	EventActionDone     = "action-done"
	EventActionFailed   = "action-failed"
	EventActionUnknown  = "action-unknown"
	EventActionWaiting  = "action-waiting"
	EventProposalOpened = "proposal-opened"
	EventRevisionBroken = "revision-broken"
	EventRevisionHeld   = "revision-held" // Its commit is not as spec.signatures demands.
	EventRunFailed      = "run-failed"
	EventRunWaiting     = "run-waiting"
	EventSourceFailed   = "source-failed"
)

// NotifyEvents lists the events that a webhook can be told of, sorted.
func NotifyEvents() []string {
	return []string{EventActionDone, EventActionFailed, EventActionUnknown, EventActionWaiting, EventProposalOpened, EventRevisionBroken,
		EventRevisionHeld, EventRunFailed, EventRunWaiting, EventSourceFailed}
}

// Notification is a webhook that is told what waits and what fails: a POST with a JSON object in it, which package
// reconciler/notify describes. It is sent until it is taken, for a day, and may arrive more than once, with the same id.
type Notification struct {
	// Name tells the webhooks apart.
	Name string `json:"name" check:"required,pattern=name" hint:"write name: WHO, such as on-call"`
	// URL is that of the webhook. Exactly one of URL and From is set.
	URL string `json:"url,omitempty" check:"pattern=url"`
	// From says where the URL is, if it is a secret.
	From *SecretRef `json:"from,omitempty"`
	// Headers are sent too, such as Authorization.
	Headers []Header `json:"headers,omitempty" check:"max=32"`
	// Secret is the key of the HMAC-SHA256 in the header X-Hub-Signature-256, as GitHub signs. Default: no signature.
	Secret *SecretRef `json:"secret,omitempty"`
	// Events are what it is told. Default: all that waits or fails, which is all but action-done and proposal-opened.
	Events []string `json:"events,omitempty" check:"min=1,max=16,enum=action-done|action-failed|action-unknown|action-waiting|proposal-opened|revision-broken|revision-held|run-failed|run-waiting|source-failed" hint:"leave events out for all that waits or fails"`
}

// Wanted are the events that it is told.
func (n Notification) Wanted() []string {
	if len(n.Events) > 0 {
		return n.Events
	}
	return slices.DeleteFunc(NotifyEvents(), func(e string) bool { return e == EventActionDone || e == EventProposalOpened })
}

// notify checks the Fleet's webhooks.
func (l *loader) notify(d *document, n *node, sinks []Notification) {
	seen := []string{}
	for i, sink := range sinks {
		at := n.at(i)
		l.once(at.at("name"), "webhook", seen, sink.Name)
		seen = append(seen, sink.Name)
		if at.has("url") == (sink.From != nil) {
			l.missing(d, at, "a URL that is a secret stands under from, and any other under url", "the webhook needs exactly one of url and from")
		}
		l.secret(d, at.at("from"), sink.From)
		l.secret(d, at.at("secret"), sink.Secret)
		l.headers(d, at.at("headers"), sink.Headers)
	}
}
