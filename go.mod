module github.com/cgshim/cgshim

go 1.25.0

require (
	github.com/hashicorp/go-reap v0.0.0-20170704170343-bf58d8a43e7b
	github.com/spf13/pflag v1.0.10
	go.uber.org/zap v1.28.0
	golang.org/x/sys v0.47.0
)

require go.uber.org/multierr v1.10.0 // indirect
