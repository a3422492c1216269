// Command generate makes the schemas, and the reference in spec/README.md, from package spec. It runs in the folder
// schemas.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mainstay-dev/mainstay/schemas/generator"
)

func main() { os.Exit(run()) }

func run() int {
	made, err := generator.Generate(filepath.Join("..", "spec"))
	for name, content := range made {
		if err == nil {
			err = os.WriteFile(filepath.FromSlash(name), content, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		return 1
	}
	return 0
}
