// Package declared reads constants out of source code, for tests that hold a list to the constants it lists.
package declared

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Strings are the values of all constants of a type that the Go files of a directory declare, sorted. A constant of that
// type whose value is no string literal is an error.
func Strings(dir, typeName string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	var found []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse source: %w", err)
		}
		values, err := inFile(file, typeName)
		if err != nil {
			return nil, fmt.Errorf("read constants of %s: %w", entry.Name(), err)
		}
		found = append(found, values...)
	}
	slices.Sort(found)
	return found, nil
}

func inFile(file *ast.File, typeName string) (found []string, err error) {
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec)
			if named, ok := constant.Type.(*ast.Ident); !ok || named.Name != typeName {
				continue
			}
			for _, value := range constant.Values {
				literal, ok := value.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return nil, fmt.Errorf("%s is no string literal", constant.Names[0].Name)
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", constant.Names[0].Name, err)
				}
				found = append(found, text)
			}
		}
	}
	return found, nil
}
