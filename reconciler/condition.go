package reconciler

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// verdict is what a resource's conditions say: exactly one of ready, reconciling and stalled, or for a kind that is only
// checked that nobody can say.
type verdict struct{ kind, reason, message string }

func ready(reason, message string) verdict { return verdict{ConditionReady, reason, message} }
func reconciling(reason, message string) verdict {
	return verdict{ConditionReconciling, reason, message}
}
func stalled(reason, message string) verdict { return verdict{ConditionStalled, reason, message} }

// conditions writes a verdict as conditions that kstatus reads: Ready always, Reconciling or Stalled only while true.
// The time of the last transition is kept from old where the verdict is the same.
func conditions(old []metav1.Condition, at time.Time, v verdict) []metav1.Condition {
	list := append([]metav1.Condition(nil), old...)
	set := func(kind string, status metav1.ConditionStatus) {
		meta.SetStatusCondition(&list, metav1.Condition{Type: kind, Status: status, Reason: v.reason, Message: v.message,
			LastTransitionTime: metav1.NewTime(at)})
	}
	switch v.kind {
	case ConditionReady:
		set(ConditionReady, metav1.ConditionTrue)
	case ConditionNotYetReconciled:
		set(ConditionReady, metav1.ConditionUnknown)
	default:
		set(ConditionReady, metav1.ConditionFalse)
		set(v.kind, metav1.ConditionTrue)
	}
	for _, other := range []string{ConditionReconciling, ConditionStalled} {
		if other != v.kind {
			meta.RemoveStatusCondition(&list, other)
		}
	}
	return list
}

// notYet adds to the conditions of a resource, or takes away from them, that part of it is not reconciled yet.
func notYet(list []metav1.Condition, at time.Time, message string) []metav1.Condition {
	if message == "" {
		meta.RemoveStatusCondition(&list, ConditionNotYetReconciled)
		return list
	}
	meta.SetStatusCondition(&list, metav1.Condition{Type: ConditionNotYetReconciled, Status: metav1.ConditionTrue, Reason: "OnlyChecked",
		Message: message, LastTransitionTime: metav1.NewTime(at)})
	return list
}

// IsReady reports whether conditions say Ready=True.
func IsReady(list []metav1.Condition) bool { return meta.IsStatusConditionTrue(list, ConditionReady) }
