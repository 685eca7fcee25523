package registry

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Column is one column of the table that kubectl prints of a kind.
type Column[T Object] struct {
	Name string
	// Type is the OpenAPI type of the cells: string or boolean.
	Type        string
	Description string
	// Priority is 0 for a column that is always shown and 1 for one that needs -o wide.
	Priority int32
	// Cell is the object's value: nil leaves it blank.
	Cell func(T) any
}

// Age is the last column of every kind.
func Age[T Object]() Column[T] {
	return Column[T]{
		Name: "Age", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		Cell: func(o T) any { return metatable.ConvertToHumanReadableDateType(o.GetCreationTimestamp()) },
	}
}

// Text is a cell that stays blank when there is nothing to say.
func Text(s string) any {
	if s == "" {
		return nil
	}

	return s
}

type table[T Object] struct{ kind Kind[T] }

func (t table[T]) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	out := &metav1.Table{}

	if o, ok := options.(*metav1.TableOptions); !ok || o == nil || !o.NoHeaders {
		out.ColumnDefinitions = t.definitions()
	}

	if o, ok := object.(T); ok {
		out.ResourceVersion = o.GetResourceVersion()
		out.Rows = []metav1.TableRow{t.row(o)}

		return out, nil
	}

	list, err := meta.ListAccessor(object)
	if err != nil {
		return nil, fmt.Errorf("print %s: got a %T", t.kind.Resource, object)
	}

	out.ResourceVersion = list.GetResourceVersion()
	out.Continue = list.GetContinue()
	out.RemainingItemCount = list.GetRemainingItemCount()

	err = meta.EachListItem(object, func(item runtime.Object) error {
		out.Rows = append(out.Rows, t.row(typed[T](item)))

		return nil
	})

	return out, err
}

func (t table[T]) definitions() []metav1.TableColumnDefinition {
	definitions := []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
	}
	for _, c := range t.kind.Columns {
		definitions = append(definitions, metav1.TableColumnDefinition{
			Name: c.Name, Type: c.Type, Description: c.Description, Priority: c.Priority,
		})
	}

	return definitions
}

func (t table[T]) row(o T) metav1.TableRow {
	cells := []any{o.GetName()}
	for _, c := range t.kind.Columns {
		cells = append(cells, c.Cell(o))
	}

	return metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: o}}
}
