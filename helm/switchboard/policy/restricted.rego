# The `restricted` Pod Security Standard, and a read-only root beyond it.
package main

import data.pods
import rego.v1

deny contains sprintf("%s: pod does not say runAsNonRoot", [pods.name]) if {
	pods.spec
	not pods.spec.securityContext.runAsNonRoot == true
}

deny contains sprintf("%s: pod has no seccomp profile", [pods.name]) if {
	pods.spec
	not pods.spec.securityContext.seccompProfile.type in {"RuntimeDefault", "Localhost"}
}

deny contains sprintf("%s: pod runs as root", [pods.name]) if pods.spec.securityContext.runAsUser == 0

deny contains sprintf("%s: container %s runs as root", [pods.name, container.name]) if {
	some container in pods.containers
	container.securityContext.runAsUser == 0
}

deny contains sprintf("%s: container %s may run as root", [pods.name, container.name]) if {
	some container in pods.containers
	container.securityContext.runAsNonRoot == false
}

deny contains sprintf("%s: container %s may get more privileges", [pods.name, container.name]) if {
	some container in pods.containers
	not container.securityContext.allowPrivilegeEscalation == false
}

deny contains sprintf("%s: container %s is privileged", [pods.name, container.name]) if {
	some container in pods.containers
	container.securityContext.privileged == true
}

deny contains sprintf("%s: container %s does not drop all capabilities", [pods.name, container.name]) if {
	some container in pods.containers
	not "ALL" in object.get(container, ["securityContext", "capabilities", "drop"], [])
}

deny contains sprintf("%s: container %s adds capabilities", [pods.name, container.name]) if {
	some container in pods.containers
	count(object.get(container, ["securityContext", "capabilities", "add"], [])) > 0
}

deny contains sprintf("%s: container %s can write to its root", [pods.name, container.name]) if {
	some container in pods.containers
	not container.securityContext.readOnlyRootFilesystem == true
}

deny contains sprintf("%s: pod is in the node's %s", [pods.name, field]) if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	pods.spec[field] == true
}

deny contains sprintf("%s: container %s takes a port of the node", [pods.name, container.name]) if {
	some container in pods.containers
	some port in container.ports
	port.hostPort
}

harmless_volumes := {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}

deny contains sprintf("%s: volume %s is a %s", [pods.name, volume.name, kind]) if {
	some volume in pods.spec.volumes
	some kind, _ in volume
	kind != "name"
	not kind in harmless_volumes
}
