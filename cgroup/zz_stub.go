package cgroup

func OOMKills(d bool) (uint64, bool)                { return NewHandle(d).OOMKills() }
func KillOthers() error                             { return nil }
func (r *Report) Watch() []string                   { return nil }
func (r *Report) Mirrored() Mirrored                { return Mirrored{} }
func (m Mirrored) String() string                   { return "" }
func ParseMirrored(s string) (Mirrored, error)      { return Mirrored{}, nil }
func Resize(m Mirrored) (Mirrored, bool, error)     { return m, false, nil }
func Undo(o Options) error                          { return nil }

type Mirrored struct{}
