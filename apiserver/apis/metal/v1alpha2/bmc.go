package v1alpha2

// HasLogin tells whether it is known how to log in to a BMC: without a BMC it is not.
func (b *BMC) HasLogin() bool {
	return b != nil && (b.User != "" || b.UserFrom != nil) && (b.Pass != "" || b.PassFrom != nil)
}
