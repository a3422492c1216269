// Command mainstay-loop is the reference runtime as an executable of its own. Mainstay starts it; it is of no use to a
// person.
package main

import "github.com/mainstay-dev/mainstay/plugins/loop"

func main() { loop.Serve() }
