package v1alpha3

// IsOf tells whether a binding is of a machine, and not of a former one of the same name, whose server holds its data. A machine
// that was restored from a backup, or moved, has another UID, and names its server.
func (b *ServerBinding) IsOf(machine *MetalMachine) bool {
	ref := b.Spec.MetalMachineRef
	if ref.Namespace != machine.Namespace || ref.Name != machine.Name {
		return false
	}

	named := machine.Spec.ServerRef != nil && machine.Spec.ServerRef.Name == b.Name

	return ref.UID == "" || ref.UID == machine.UID || named
}
