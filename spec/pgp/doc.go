// Package pgp reads OpenPGP keys and detached signatures (RFC 9580, and RFC 4880 as GnuPG writes it) and checks one
// signature with one key.
//
// It is strict, because whoever can push chooses what it reads: one armored block with nothing around it, one key or one
// signature in it, whole fingerprints and never short ids, no SHA-1, no DSA and no RSA under 2048 bits. A signature counts
// if its key was neither expired nor revoked at the time that the signature says. It asks no key server and no clock.
package pgp
