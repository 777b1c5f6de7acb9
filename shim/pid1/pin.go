package pid1

import "time"

const settled = 50 * time.Millisecond

func (l *life) loadPages() {}
func (l *life) settle()    { l.settling = countdown{} }
