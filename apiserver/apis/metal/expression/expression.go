// Package expression asks questions about Servers in the Common Expression Language (CEL).
//
// An expression has the variable server, the Server as its JSON has it. What is absent there is absent here:
// has(server.spec.hardware.memory) tells. The functions are those of the language, and its string extensions.
package expression

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

const (
	variable = "server"

	// mostCost bounds what one evaluation may take, as Kubernetes does: about a tenth of a second.
	mostCost = 1_000_000
	// longest is the length of an expression in bytes.
	longest = 4096
)

// Expression is one that was compiled. It may be evaluated by several goroutines at the same time.
type Expression struct {
	program cel.Program
}

// Compile checks an expression: that it can be read, and that its value is true or false as far as that can be told. The
// error tells where it is wrong.
func Compile(text string) (*Expression, error) {
	if len(text) > longest {
		return nil, fmt.Errorf("compile expression: it has %d bytes, %d are allowed", len(text), longest)
	}

	environment, err := cel.NewEnv(cel.Variable(variable, cel.MapType(cel.StringType, cel.DynType)), ext.Strings())
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}

	tree, issues := environment.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("compile expression: %w", err)
	}

	if kind := tree.OutputType(); kind != cel.BoolType && kind != cel.DynType {
		return nil, fmt.Errorf("compile expression: its value is %s, want true or false", kind)
	}

	program, err := environment.Program(tree, cel.CostLimit(mostCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, fmt.Errorf("compile expression: %w", err)
	}

	return &Expression{program}, nil
}

// Matches evaluates the expression for a server. An error is that of the expression, such as a field that the server does
// not have: such a server does not match.
func (e *Expression) Matches(server *v1alpha2.Server) (bool, error) {
	values, err := fields(server)
	if err != nil {
		return false, err
	}

	value, _, err := e.program.Eval(map[string]any{variable: values})
	if err != nil {
		return false, fmt.Errorf("evaluate expression: %w", err)
	}

	matches, ok := value.Value().(bool)
	if !ok {
		return false, errors.New("evaluate expression: its value is neither true nor false")
	}

	return matches, nil
}

// fields are an object's as its JSON has them, with whole numbers as such.
func fields(server *v1alpha2.Server) (map[string]any, error) {
	text, err := json.Marshal(server)
	if err != nil {
		return nil, fmt.Errorf("encode server: %w", err)
	}

	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("decode server: %w", err)
	}

	return whole(values).(map[string]any), nil //nolint:forcetypeassert // it is what it was
}

// whole makes the floats that JSON's numbers become integers, which CEL tells apart, if they are.
func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			v[name] = whole(v[name])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	}

	return value
}
