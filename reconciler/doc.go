// Package reconciler is the loop: what is declared on a Git branch becomes what runs, and what agents want to change
// comes back to that branch as proposals. It joins the stages; none of them knows another. Read it in this order to
// follow one commit to one executed action:
//
//  1. observe.go: package source fetches the branch. A new revision whose commit is not signed as the one before demands is
//     held (signature.go). Else it is loaded and checked by package spec. A broken one
//     is kept with its problems, and the last good revision goes on being what is declared. lock.go compares what tool
//     servers and models are by now with what the revision's mainstay.lock pins, and refuses what is something else.
//  2. apply.go: package plan compares what runs with what is declared. Its steps start, replace and stop agents, in the order
//     of their dependencies, and execute actions. An agent has processes (package host) only while runs need them.
//  3. trigger.go: a trigger that is due appends a task to a run's record and queues the run (package store). thread.go: so
//     does a person's message in a thread, with what was said before; threads.go lists them.
//  4. join.go: package run takes queued runs up. It opens a stream to the agent's process, records every request before
//     it is served, and every answer with what the agent does next; package broker answers, asking package policy about every
//     tool call and every change, and package secret for what a tool server must know and nobody else may. A write becomes
//     a proposal: package proposal puts it on a branch of its own, and the run waits without a process.
//  5. A person merges the proposal. The merge is the next revision, so this loop sees it like any other commit.
//  6. action.go: an Action on the branch without a receipt is a step of the plan. Package execute checks who approved
//     which bytes, and writes claim, start and receipt to the ledger branch around the one effect. trust.go decides whose
//     approval counts: a list of approvers is only changed by an approver.
//  7. waiting.go: a receipt, a merge or a rejection is the answer the run has waited for. The run is queued again and
//     resumed by replaying its record.
//     undo.go: what a run did before something failed in it is offered to be undone, where a tool declares how; package undo
//     decides which.
//  8. delegate.go: an agent's task for another agent is a run of its own, and its end the answer; who ends a run ends those
//     beneath it.
//     knowledge.go: what agents may search is read beside the passes (package knowledge).
//  9. handover.go: where no state lasts between two processes, as on CI, the records of waiting runs travel on the
//     branch mainstay/runs (package shelf).
//  10. suspend.go: what is suspended, in Git or by a person at once, does not take its next step. notifications.go: webhooks
//     (package notify) are told what waits and what fails.
//
// Every part reacts to state and not to events: the process can be killed at any line and started again.
package reconciler
