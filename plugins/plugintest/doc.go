// Package plugintest is the suite that every agent runtime passes, in whatever language it is written.
//
// [Run] starts the runtime's executable through go-plugin as the host does, only without the walls, and talks the protocol
// to it. The runtime must behave as an agent that loops: ask the model with the task; carry out all calls of an answer,
// sent in the order of the answer; ask again with their results; and return the text of the first answer without calls.
// The package keeps nothing and needs no model and no network.
package plugintest
