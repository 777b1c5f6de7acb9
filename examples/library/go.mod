module example.com/supervisor

go 1.25.0

require github.com/cgshim/cgshim v0.0.0

require golang.org/x/sys v0.47.0 // indirect

// The module is not published. In a program of your own put the path of a clone here.
replace github.com/cgshim/cgshim => ../..
