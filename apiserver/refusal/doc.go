// Package refusal makes readable why a patch was refused. Kubernetes puts the whole patched object, as an escaped text, in
// front of the one field that is wrong with it; and when an operation of a JSON patch does not apply it hides which, and
// why, where kubectl does not look. Only the words change, not the status code or the reason.
package refusal
