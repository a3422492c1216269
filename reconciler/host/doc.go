// Package host runs agent processes.
//
// Each agent is a process of its runtime, started through go-plugin behind the walls that [Isolation] names, restarted when
// it ends, and stopped without fail. [Host.Open] starts a run on an agent's process and returns the [Session] over which
// the agent asks and is answered.
//
// The package keeps no run's state and nothing on disk but the processes' scratch folders: an agent may be killed at any
// moment. It decides nothing about what an agent asks for, never looks into an answer, and never gives a process a secret
// or any part of the host's environment.
package host
