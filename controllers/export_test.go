package controllers

import "context"

// Work is what the controllers do while their Lease is held.
func (c *Controllers) Work(ctx context.Context) error { return c.work(ctx) }
