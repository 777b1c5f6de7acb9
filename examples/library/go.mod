module example.com/supervisor

go 1.25.0

require github.com/cgshim/cgshim v0.1.0

require golang.org/x/sys v0.47.0 // indirect

// In a program of your own leave this line out.
replace github.com/cgshim/cgshim => ../..
