package infrastructure_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
)

// workload stands for the API of a cluster of machines, which has Nodes and nothing else.
type workload struct {
	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	history []change
	news    chan struct{} // closed with the next change

	// refuses names the server whose Node nobody may delete, changes one whose Node has changed whenever it was listed.
	refuses, changes string
}

// change is one of a Node. Their number is what the API calls a resource version.
type change struct {
	kind watch.EventType
	node *corev1.Node
}

func newWorkload() *workload {
	return &workload{nodes: map[string]*corev1.Node{}, news: make(chan struct{})}
}

// node is a copy of the one of a name, nil if there is none.
func (w *workload) node(name string) *corev1.Node {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.nodes[name].DeepCopy()
}

// set makes Nodes, or changes them, all at once.
func (w *workload) set(nodes ...*corev1.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, node := range nodes {
		w.put(node.DeepCopy())
	}
}

func (w *workload) put(node *corev1.Node) {
	kind := watch.Modified
	if w.nodes[node.Name] == nil {
		kind = watch.Added
	}

	w.nodes[node.Name] = node
	w.happened(change{kind, node})
}

func (w *workload) happened(c change) {
	c.node = c.node.DeepCopy()
	c.node.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
	c.node.ResourceVersion = strconv.Itoa(len(w.history) + 1)
	w.history = append(w.history, c)

	if c.kind != watch.Deleted {
		w.nodes[c.node.Name] = c.node
	}

	close(w.news)
	w.news = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (w *workload) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "application/json")

	say := func(what any) { _ = json.NewEncoder(answer).Encode(what) }

	switch path := request.URL.Path; {
	case path == "/version":
		say(map[string]string{"major": "1", "minor": "35", "gitVersion": "v1.35.2"})
	case path == "/api":
		say(metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "/apis":
		say(metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
	case path == "/api/v1":
		say(metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "nodes", SingularName: "node", Kind: "Node", Verbs: metav1.Verbs{"get", "list", "watch", "patch", "delete"}},
		}})
	case path == "/api/v1/nodes" && request.URL.Query().Get("watch") != "":
		w.watch(answer, request)
	case path == "/api/v1/nodes":
		say(w.list())
	case strings.HasPrefix(path, "/api/v1/nodes/"):
		w.one(answer, request, strings.TrimPrefix(path, "/api/v1/nodes/"))
	case path == "/" || strings.HasSuffix(path, "z"):
		fmt.Fprint(answer, "{}")
	default:
		w.missing(answer)
	}
}

func (w *workload) missing(answer http.ResponseWriter) {
	w.refuse(answer, metav1.StatusReasonNotFound, http.StatusNotFound)
}

func (w *workload) refuse(answer http.ResponseWriter, reason metav1.StatusReason, code int32) {
	answer.WriteHeader(int(code))

	_ = json.NewEncoder(answer).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: reason, Code: code,
	})
}

func (w *workload) list() *corev1.NodeList {
	w.mu.Lock()
	defer w.mu.Unlock()

	all := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	all.ResourceVersion = strconv.Itoa(len(w.history))

	for _, node := range w.nodes {
		all.Items = append(all.Items, *node)

		if w.changes != "" && node.Name == "node-"+w.changes {
			node.ResourceVersion += "0"
		}
	}

	slices.SortFunc(all.Items, func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })

	return all
}

// names are those of all Nodes, in order.
func (w *workload) names() []string {
	var names []string
	for _, node := range w.list().Items {
		names = append(names, node.Name)
	}

	return names
}

// one answers requests for one Node. A patch sets what is in it.
func (w *workload) one(answer http.ResponseWriter, request *http.Request, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	node := w.nodes[name].DeepCopy()

	switch {
	case node == nil:
		w.missing(answer)

		return
	case request.Method == http.MethodPatch:
		_ = json.NewDecoder(request.Body).Decode(node)
		w.put(node)
	case request.Method == http.MethodDelete:
		options := metav1.DeleteOptions{}
		body, _ := io.ReadAll(request.Body)
		_ = runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), body, &options) // clients send it as they like

		switch as := options.Preconditions; {
		case w.refuses != "" && name == "node-"+w.refuses:
			w.refuse(answer, metav1.StatusReasonForbidden, http.StatusForbidden)

			return
		case as != nil && (*as.UID != node.UID || *as.ResourceVersion != node.ResourceVersion):
			w.refuse(answer, metav1.StatusReasonConflict, http.StatusConflict)

			return
		}

		delete(w.nodes, name)
		w.happened(change{watch.Deleted, node})
	}

	_ = json.NewEncoder(answer).Encode(node)
}

// watch tells of what happens, and first of all of what there is, if that is asked for.
func (w *workload) watch(answer http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	seen, _ := strconv.Atoi(query.Get("resourceVersion"))
	send := func(kind watch.EventType, node *corev1.Node) {
		_ = json.NewEncoder(answer).Encode(map[string]any{"type": kind, "object": node})
	}

	if query.Get("sendInitialEvents") == "true" {
		all := w.list()
		for i := range all.Items {
			send(watch.Added, &all.Items[i])
		}

		end := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}}
		end.ResourceVersion, end.Annotations = all.ResourceVersion, map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		send(watch.Bookmark, end)

		seen, _ = strconv.Atoi(all.ResourceVersion)
	}

	for {
		w.mu.Lock()
		fresh, news := slices.Clone(w.history[min(seen, len(w.history)):]), w.news
		w.mu.Unlock()

		for _, c := range fresh {
			send(c.kind, c.node)
		}

		seen += len(fresh)

		if err := http.NewResponseController(answer).Flush(); err != nil {
			return
		}

		select {
		case <-news:
		case <-request.Context().Done():
			return
		}
	}
}
