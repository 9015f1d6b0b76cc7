# What a node must know before it takes a pod, and what of it is known to be the same tomorrow.
package main

import data.pods
import rego.v1

deny contains sprintf("%s: container %s does not say its %s of %s", [pods.name, container.name, bound[0], bound[1]]) if {
	some container in pods.containers
	some bound in [["requests", "cpu"], ["requests", "memory"], ["limits", "memory"]]
	object.get(container, ["resources", bound[0], bound[1]], null) == null
}

# Throttling delays commits.
deny contains sprintf("%s: container %s has a CPU limit", [pods.name, container.name]) if {
	some container in pods.containers
	container.resources.limits.cpu
}

deny contains sprintf("%s: the image %s is not pinned", [pods.name, container.image]) if {
	some container in pods.containers
	not regex.match(`(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$`, container.image)
}

deny contains sprintf("%s: the image %s is not pinned", [pods.name, container.image]) if {
	some container in pods.containers
	endswith(container.image, ":latest")
}

deny contains sprintf("%s: container %s has no %s", [pods.name, container.name, probe]) if {
	input.metadata.labels["app.kubernetes.io/component"] in {"gateway", "simulator"}
	some container in pods.lasting
	container.name in {"gateway", "simulator"}
	some probe in ["livenessProbe", "readinessProbe"]
	not container[probe]
}
