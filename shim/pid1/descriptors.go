package pid1

// closeInherited closes the descriptors above 2 that this process inherited. The program has
// the same descriptors. If this process kept a pipe or a socket open, the reader at the other
// end would not see the end of the data. The helper has listed them (Orders.Close).
func (l *life) closeInherited() {
	o := l.orders
	for i := range o.toClose {
		if uint32(i) < o.numClose {
			closeFile(int(o.toClose[i]))
		}
	}
	if l.oldNS >= 0 {
		closeFile(l.oldNS)
		l.oldNS = -1
	}
}

// Close has PID 1 close an inherited descriptor after the start of the program. It reports
// false if there is no room for another.
func (o *Orders) Close(fd int) bool {
	if int(o.numClose) == len(o.toClose) {
		return false
	}
	o.toClose[o.numClose] = int32(fd)
	o.numClose++
	return true
}
