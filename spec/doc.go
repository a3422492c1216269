// Package spec is the language of a spec repository: the kinds of resources, how they are written, and what they mean.
//
// [Load] reads the folder that holds mainstay.yaml and returns a [Fleet], in which everything is checked, every default
// applied and every reference followed, or all [Problems] at once, each with its place. Each resource has a digest over
// all that shapes its behaviour, so that formatting, comments and the order of keys never restart an agent.
//
// The package also keeps what the other packages must agree on: the identities, the records that outlive a process, and
// the expressions ([Condition], [Template], [Script]) with their bounds.
//
// It is a function of the folder it is given (and of the machine's time zones, or else its own copy of them). It asks no
// clock, no network and no other folder, follows no symbolic link, and imports no other package of ours.
package spec
