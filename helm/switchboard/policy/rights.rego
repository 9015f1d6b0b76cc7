# Nothing asks Kubernetes for anything, and nothing is let in that is not named.
package main

import data.pods
import rego.v1

deny contains sprintf("%s: the service account's token is mounted", [pods.name]) if {
	pods.spec
	not pods.spec.automountServiceAccountToken == false
}

deny contains sprintf("%s: the service account's token is mounted", [pods.name]) if {
	input.kind == "ServiceAccount"
	not input.automountServiceAccountToken == false
}

deny contains sprintf("%s: gives rights in the cluster", [pods.name]) if {
	input.kind in {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
}

# Variables of Services would be taken for settings.
deny contains sprintf("%s: Services become environment variables", [pods.name]) if {
	pods.spec
	not pods.spec.enableServiceLinks == false
}

# The webhook's port is the only one that may be open to all: each request on it is checked against the webhook's secret.
deny contains sprintf("%s: anybody may reach port %v", [pods.name, port.port]) if {
	input.kind == "NetworkPolicy"
	some rule in input.spec.ingress
	count(object.get(rule, "from", [])) == 0
	some port in object.get(rule, "ports", [{"port": "every"}])
	port.port != "public"
}

deny contains sprintf("%s: everything may go out", [pods.name]) if {
	input.kind == "NetworkPolicy"
	some rule in input.spec.egress
	count(object.get(rule, "to", [])) == 0
	count(object.get(rule, "ports", [])) == 0
}

deny contains sprintf("%s: does not govern %s", [pods.name, direction]) if {
	input.kind == "NetworkPolicy"
	some direction in ["Ingress", "Egress"]
	not direction in input.spec.policyTypes
}

# The live view and metrics stay in the cluster.
deny contains sprintf("%s: opens the ops listener to outside the cluster", [pods.name]) if {
	input.kind == "Service"
	input.spec.type in {"NodePort", "LoadBalancer"}
	some port in input.spec.ports
	port.targetPort == "ops"
}
