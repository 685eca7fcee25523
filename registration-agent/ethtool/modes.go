package ethtool

// modes are the link modes that have a speed, in megabits per second, by the number of their
// bit (enum ethtool_link_mode_bit_indices of linux/ethtool.h). The bits between them say
// other things: ports, autonegotiation, pauses, error correction.
func modes() []struct{ first, last, speed int } {
	return []struct{ first, last, speed int }{
		{0, 1, 10}, {2, 3, 100}, {4, 5, 1000}, {12, 12, 10_000}, {15, 15, 2500}, {17, 17, 1000},
		{18, 20, 10_000}, {21, 22, 20_000}, {23, 26, 40_000}, {27, 30, 56_000}, {31, 33, 25_000},
		{34, 35, 50_000}, {36, 39, 100_000}, {40, 40, 50_000}, {41, 41, 1000}, {42, 46, 10_000},
		{47, 47, 2500}, {48, 48, 5000}, {52, 56, 50_000}, {57, 61, 100_000}, {62, 66, 200_000},
		{67, 67, 100}, {68, 68, 1000}, {69, 73, 400_000}, {75, 79, 100_000}, {80, 84, 200_000},
		{85, 89, 400_000}, {90, 91, 100}, {92, 92, 10}, {93, 98, 800_000}, {99, 101, 10},
	}
}

// fastest is the speed of the fastest mode whose bit is set, or 0. The words of the mask are
// of 32 bits, the first one has the lowest bits.
func fastest(mask []uint32) int {
	speed := 0
	for _, mode := range modes() {
		for bit := mode.first; bit <= mode.last; bit++ {
			if word := bit / 32; word < len(mask) && mask[word]>>(bit%32)&1 == 1 {
				speed = max(speed, mode.speed)
			}
		}
	}
	return speed
}
