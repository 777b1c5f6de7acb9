module github.com/cgshim/cgshim/test

go 1.26.0
