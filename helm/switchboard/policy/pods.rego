# Where the pods and containers of an object are. Written for conftest (`conftest test --policy helm/switchboard/policy`) as
# well as for scripts/test-chart.
package pods

import rego.v1

# The pod of a Pod, and of what makes pods.
spec := input.spec if input.kind == "Pod"

spec := input.spec.template.spec if input.kind in {"Deployment", "StatefulSet", "DaemonSet", "Job"}

containers contains container if some container in spec.containers

containers contains container if some container in spec.initContainers

# A container that runs as long as its pod.
lasting contains container if {
	input.kind in {"Deployment", "StatefulSet", "DaemonSet"}
	some container in spec.containers
}

# How messages name the object.
name := sprintf("%s/%s", [input.kind, input.metadata.name])
