package model

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
)

// unreached says why a server cannot be reached, for an error of package net/http, and what to do; ok is false for another
// error. Hint is what to do where the error says nothing about it.
func (p Providers) unreached(err error, base, hint string) (error, bool) {
	network, ok := errors.AsType[*url.Error](err)
	if !ok {
		return nil, false
	}
	said := p.short(network.Err.Error())
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return failed(Unavailable, "%s cannot be reached: the name %q is not found (%s): check the model's endpoint and the machine's DNS", base, dns.Name, p.short(dns.Err)), true
	}
	_, bad := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	if bad || unknown {
		return failed(Unavailable, "%s cannot be trusted: %s: have the machine trust its authority (SSL_CERT_FILE names its certificates), or correct the endpoint", base, said), true
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if record || strings.Contains(said, "server gave HTTP response to HTTPS client") {
		return failed(Unavailable, "%s does not speak TLS: %s: write http:// in the endpoint if that is meant", base, said), true
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return failed(TimedOut, "%s gives no answer in time: %s", base, said), true
	}
	return failed(Unavailable, "%s cannot be reached: %s: %s", base, said, hint), true
}

// broke is the error of a request, or of a stream that was being read, which is no refusal.
func (f far) broke(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if told, ok := errors.AsType[*Error](err); ok {
		return told
	}
	if told, ok := errors.AsType[refusal](err); ok {
		return f.amid(told)
	}
	if told, ok := f.unreached(err, f.base, "check the model's endpoint, and that the server runs"); ok {
		return told
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errUnfinished
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return failed(TimedOut, "%s gives no more of its answer: %s", f.base, f.short(err.Error()))
	}
	return failed(Unavailable, "%s broke off: %s", f.base, f.short(err.Error()))
}
