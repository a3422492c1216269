// Package host runs agent processes.
//
// A declared agent is a pool of processes of its runtime, which is empty while it has no runs. [Host.Open] starts a run on
// a process that has room, or on one that it starts, through go-plugin and behind the walls that [Isolation] names, and
// returns the [Session] over which the agent asks and is answered. A process that has been idle for a while is ended, one
// that does not answer any more is killed, and where processes end by themselves the next start waits a little longer each
// time. All processes together are bounded in number and memory; what wants more waits, and agents take turns.
//
// The package keeps no run's state and nothing on disk but the processes' scratch folders: an agent may be killed at any
// moment. It decides nothing about what an agent asks for, never looks into an answer, and never gives a process a secret
// or any part of the host's environment.
package host
