package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/boottoken"
)

// MaxLine is the longest line that is kept whole, in bytes. The kernel's own records end at 8 KiB.
const MaxLine = 32 << 10

// Sender is who a line is from. Empty names are left out of the line.
type Sender struct {
	// Server is the name of the Server, which is the machine's UUID.
	Server string
	// Namespace is that of the three objects that follow.
	Namespace, Cluster, MetalMachine, Machine string
}

// names are what a sender adds to a line, under upstream's keys.
func (s Sender) names() map[string]string {
	return map[string]string{
		"server_uuid": s.Server, "namespace": s.Namespace, "cluster": s.Cluster, "metal_machine": s.MetalMachine, "machine": s.Machine,
	}
}

// Record is what is kept of a line: a JSON object with the sender's names and a line feed at its end, or nothing for an empty line.
// What a machine claims to be under those names is replaced. What is no JSON object is kept as the object's msg, as text. Boot tokens are
// taken out: the kernel logs its command line.
func Record(line []byte, from Sender) []byte {
	line = []byte(boottoken.Redact(string(bytes.TrimSpace(line))))
	if len(line) == 0 {
		return nil
	}

	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil || fields == nil {
		fields = map[string]json.RawMessage{"msg": text(strings.ToValidUTF8(string(line), "\uFFFD"))}
	}

	for key, name := range from.names() {
		delete(fields, key)

		if name != "" {
			fields[key] = text(name)
		}
	}

	record, err := json.Marshal(fields)
	if err != nil { // fields are what was just decoded
		return nil
	}

	return append(record, '\n')
}

func text(s string) json.RawMessage {
	quoted, err := json.Marshal(s)
	if err != nil { // a string always can be
		return json.RawMessage(`""`)
	}

	return quoted
}

// readLine reads one line of at most MaxLine bytes into the buffer that it is given, and skips what is beyond. The last line
// need not end. The error is that of the reader, with what was read before it.
func readLine(r *bufio.Reader, into []byte) (line []byte, err error) {
	line = into[:0]

	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), MaxLine-len(line))]...)

		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return line, io.EOF
		default:
			return line, fmt.Errorf("read line: %w", err)
		}
	}
}
