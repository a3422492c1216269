// Package plugintest is the suite that every agent runtime passes, in whatever language it is written.
//
// It starts the runtime's executable as the host does, only without the walls, and plays the host: the model and the tools.
// [Test] runs it against any executable, which is what `mainstay plugin test` does, and [Run] does so within a Go test.
// It needs no model and no network, and keeps nothing.
//
// # What the runtime must do
//
// The suite cannot know what an agent is for. It tests a runtime with the standard job, and a runtime whose agents do something
// else is started, by its arguments, as one that does the standard job:
//
//  1. Begin a conversation with the history, and the task as the user's message, and ask the model, offering all tools.
//  2. Carry out all tool calls of the answer: send all of them, in the order of the answer, before waiting for a result. No more
//     than [plugins.MaxOutstanding] may be unanswered.
//  3. Add the answer and the results, in the order of the calls, to the conversation, and ask again.
//  4. An answer without calls is the output. Where Start.check is set, a runtime with the feature "check" sends a CheckRequest
//     with it, and lets the model mend what the answer to that names. Then it ends the run with the output as the Result.
//
// # Lanes
//
// The job has one branch, so most runtimes do it in the main lane. A runtime may give the calls of an answer lanes of their
// own: the suite then holds each lane to its order, and leaves the order among lanes free, as the host does. How a runtime uses
// lanes in other jobs is for its own tests.
package plugintest
