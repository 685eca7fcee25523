package apitest

import (
	"bytes"
	"flag"
	"strings"
	"sync"

	"k8s.io/klog/v2"
)

// Log holds what Kubernetes's libraries logged in this process.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// CaptureLog takes the log of Kubernetes's libraries, which belongs to the whole process. It is called once, in TestMain.
func CaptureLog() *Log {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)

	if err := flags.Parse([]string{"-logtostderr=false", "-one_output", "-stderrthreshold=FATAL"}); err != nil {
		panic(err)
	}

	l := &Log{}
	klog.SetOutput(l)

	return l
}

// Write implements io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.text.Write(line)
}

// Mark is the place up to which the log is written now.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.text.Len()
}

// Since returns the lines written after a mark that hold one of the words.
func (l *Log) Since(mark int, words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()

	var found []string

	for line := range strings.Lines(string(l.text.Bytes()[mark:])) {
		for _, word := range words {
			if strings.Contains(line, word) {
				found = append(found, strings.TrimSpace(line))

				break
			}
		}
	}

	return found
}

// Errors returns the error lines written after a mark.
func (l *Log) Errors(mark int) []string {
	var errors []string

	for _, line := range l.Since(mark, "] ") {
		if strings.HasPrefix(line, "E") { // klog's header: the level, then the date
			errors = append(errors, line)
		}
	}

	return errors
}
