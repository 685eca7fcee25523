package kubelet

import (
	"maps"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (n Node) labels() map[string]string {
	labels := map[string]string{
		corev1.LabelHostname: n.Name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		"beta.kubernetes.io/os": runtime.GOOS, "beta.kubernetes.io/arch": runtime.GOARCH,
	}
	maps.Copy(labels, n.Labels)

	return labels
}

// Object is the Node as it is registered.
func (n Node) Object() *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.labels()},
		Spec:       corev1.NodeSpec{Taints: n.Taints},
	}
	n.report(&node.Status, time.Now())

	return node
}

// report writes what the kubelet knows of its node.
func (n Node) report(into *corev1.NodeStatus, now time.Time) {
	into.Addresses = nil
	for _, address := range n.Addresses {
		into.Addresses = append(into.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address.String()})
	}

	into.Addresses = append(into.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: n.Name})
	into.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI), corev1.ResourceMemory: resource.MustParse("2Gi"),
		corev1.ResourcePods: resource.MustParse("110"),
	}
	into.Allocatable = into.Capacity
	into.NodeInfo = corev1.NodeSystemInfo{
		MachineID: n.UUID, SystemUUID: n.UUID, BootID: n.UUID, KernelVersion: "none", OSImage: n.Image,
		ContainerRuntimeVersion: "none://0", KubeletVersion: n.Version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
	}

	for _, c := range []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "a stand-in, which runs no pods, is ready"},
	} {
		c.LastHeartbeatTime, c.LastTransitionTime = metav1.NewTime(now), metav1.NewTime(now)
		into.Conditions = set(into.Conditions, c)
	}
}

// set replaces a condition, and keeps since when it is so.
func set(conditions []corev1.NodeCondition, c corev1.NodeCondition) []corev1.NodeCondition {
	at := slices.IndexFunc(conditions, func(was corev1.NodeCondition) bool { return was.Type == c.Type })
	if at < 0 {
		return append(conditions, c)
	}

	if conditions[at].Status == c.Status {
		c.LastTransitionTime = conditions[at].LastTransitionTime
	}

	conditions[at] = c

	return conditions
}
