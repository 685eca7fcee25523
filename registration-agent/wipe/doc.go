// Package wipe clears the disks of a machine: never the wrong one, and saying all the
// while which one and how far.
//
// PlanFor decides what happens to each disk: a pure function of the disks' facts and
// the policy, so that the plan can be shown to people before anything is written. A
// Host carries a plan out: it stops what the kernel has built on the disks, holds each
// disk against the plan once more, wipes all at the same time, and reads back what it
// cleared.
//
// What "fast" means and what it leaves is told at Regions: nothing is found on the disk
// any more, but its data are still there for who looks for them sector by sector.
package wipe
