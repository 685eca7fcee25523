// Package machine reads what a machine says of itself and turns it into the API's shape. It trusts nothing: what is
// absurd is refused with a reason, what vendors get wrong in their tables is mended. It talks to nobody.
package machine
