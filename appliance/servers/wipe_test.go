package servers_test

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func planned(s *v1alpha2.Server) {
	s.Spec.Accepted, s.Spec.Hostname, s.Status.IsClean = true, "planned", true
	s.Status.Wipe = &v1alpha2.WipeStatus{
		PlannedAt: &metav1.Time{Time: time.Now().Add(-time.Hour)}, PolicyFrom: "disks: ServerClass workers; method: the Server",
		Disks: []v1alpha2.WipeDiskStatus{
			{Name: "sda", Action: "wipe", Method: "fast", State: "running", Done: 1, Total: 4, Description: "ACME 1 TB", Reason: "all disks"},
			{Name: "sdb", Action: "keep", Reason: "read-only"},
			{Name: "sdc", Action: "wipe", Method: "zero", State: "failed", Reason: "all disks", Error: "i/o error"},
		},
	}
}

const plan = `p (planned)
planned 120m ago
policy (disks: ServerClass workers; method: the Server)
DISK   ACTION   METHOD   STATE         WHAT        WHY
sda    wipe     fast     running 25%   ACME 1 TB   all disks
sdb    keep                                        read-only
sdc    wipe     zero     failed                    all disks; failed: i/o error
`

func testPlan(r *room) {
	r.fill()
	r.make("p", planned)

	now := time.Now().Add(time.Hour)
	r.Now, r.Verbose = func() time.Time { return now }, true

	r.expect(r.WipePlan(r.t.Context(), "planned"), plan, "kubectl get server p -o jsonpath='{.status.wipe}'\n", "")
	r.expect(r.WipePlan(r.t.Context(), "spare"), "", "kubectl get server "+spare+" -o jsonpath='{.status.wipe}'\n",
		spare+" (spare): its agent has not told yet what a wipe would do: start the machine from the network, and look again")
}

func testWipe(r *room) {
	r.fill()
	r.make("p", planned)
	r.make("dirty", func(s *v1alpha2.Server) { s.Spec.Accepted, s.Status.WaitingFor = true, "the wipe to end" })
	r.make("double", func(s *v1alpha2.Server) { doubtful(s); s.Spec.Accepted = true })

	now := time.Now().Add(time.Hour)
	r.Now, r.Verbose = func() time.Time { return now }, true

	r.expect(r.Wipe(r.t.Context(), box, true), "", "",
		box+` (box?[2J): it is not accepted, so it is not wiped: "sidero-appliance accept `+box+`" accepts it, and it is wiped then`)
	r.expect(r.Wipe(r.t.Context(), used, true), "", "",
		used+`: it is in use, so it is not wiped: "sidero-appliance release `+used+`" tells how to take it back, and it is wiped then`)
	r.expect(r.Wipe(r.t.Context(), "double", true), "", "",
		"double: another machine claims the same identity, so nobody knows which one this is: the server's condition DuplicateIdentity tells how to decide")
	r.expect(r.Wipe(r.t.Context(), "dirty", false), "dirty: is to be wiped already; it waits for the wipe to end\n", "", "")

	const question = "What is on the disks that are wiped is lost for ever.\nType wipe to go on: "

	for input, newline := range map[string]string{"": "\n", "yes\n": "", "wipe it\n": ""} {
		r.types(input)
		r.expect(r.Wipe(r.t.Context(), "p", false), "", plan+question+newline, "p (planned): not confirmed: nothing was done")
	}

	if !r.get("p").Status.IsClean {
		r.t.Error("it is wiped without a confirmation")
	}

	const change = " --overwrite metal.sidero.dev/wipe=again\n"

	r.types("wipe\n")
	r.expect(r.Wipe(r.t.Context(), "p", false), "p (planned): is wiped next\n", plan+question+"kubectl annotate server p"+change, "")
	r.expect(r.Wipe(r.t.Context(), "spare", true), spare+" (spare): is wiped next\n", "kubectl annotate server "+spare+change, "")

	if r.get("p").Annotations[v1alpha2.WipeRequestAnnotation] == "" || r.get(spare).Annotations[v1alpha2.WipeRequestAnnotation] == "" {
		r.t.Error("it is not asked for")
	}
}

func (r *room) machine(name string, edit func(*v1alpha3.MetalMachine)) types.UID {
	r.t.Helper()

	m := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}}
	edit(m)
	must(r.t, r.Client.Create(r.t.Context(), m))

	return m.UID
}

func testRelease(r *room) {
	r.fill()
	r.Verbose = true

	r.expect(r.Release(r.t.Context(), "spare", true), "", "", spare+" (spare): it is not in use: there is nothing to take back")

	r.machine("m", func(*v1alpha3.MetalMachine) {})
	r.expect(r.Release(r.t.Context(), used, true), "", "",
		used+`: it belongs to MetalMachine m in namespace default: delete that one, with "kubectl delete metalmachine m -n default", and the server is taken back and wiped`)

	r.make("owned", plain)
	r.bind("owned", corev1.ObjectReference{Name: "worker"})
	r.machine("worker", func(m *v1alpha3.MetalMachine) {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "rack-1-a", UID: "u"}}
	})
	r.expect(r.Release(r.t.Context(), "owned", true), "", "",
		`owned: it belongs to Machine rack-1-a in namespace default: delete that one, with "kubectl delete machine rack-1-a -n default", and the server is taken back and wiped`)

	r.make("stale", plain)
	r.bind("stale", corev1.ObjectReference{Name: "m", UID: "of-an-older-m"})
	r.types("no\n")

	const question = "\nMetalMachine m in namespace default, which it is in use for, is gone. The server is taken back and wiped: " +
		"what is on its disks is lost for ever.\nType release to go on: "

	r.expect(r.Release(r.t.Context(), "stale", false), "", "stale"+question, "stale: not confirmed: nothing was done")
	r.types("release\n")
	r.expect(r.Release(r.t.Context(), "stale", false), "stale: taken back; it is wiped next\n", "stale"+question+"kubectl delete serverbinding stale\n", "")

	r.make("leaving", plain)
	r.bind("leaving", corev1.ObjectReference{Name: "leaving"})
	r.machine("leaving", func(m *v1alpha3.MetalMachine) { m.Finalizers = []string{"test.example/keep"} })
	leaving := &v1alpha3.MetalMachine{ObjectMeta: metav1.ObjectMeta{Name: "leaving", Namespace: metav1.NamespaceDefault}}
	must(r.t, r.Client.Delete(r.t.Context(), leaving))
	r.expect(r.Release(r.t.Context(), "leaving", true), "leaving: taken back; it is wiped next\n", "kubectl delete serverbinding leaving\n", "")
	must(r.t, r.Client.Patch(r.t.Context(), leaving, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))

	left := &v1alpha3.ServerBindingList{}
	must(r.t, r.Client.List(r.t.Context(), left))

	if len(left.Items) != 2 { // that of used, and that of owned
		r.t.Errorf("%d are in use", len(left.Items))
	}
}
