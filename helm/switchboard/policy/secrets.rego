# Secrets are in Secrets and come as files.
package main

import data.pods
import rego.v1

bot_token := `[0-9]{5,}:[A-Za-z0-9_-]{20,}`

in_url := `://[^/?#@\s"]*@`

secret_key := `(^|\n)\s*(token|secret|access_token|password)\s*=`

texts contains text if {
	input.kind == "ConfigMap"
	some text in input.data
}

deny contains sprintf("%s: holds a bot's token", [pods.name]) if {
	some text in texts
	regex.match(bot_token, text)
}

deny contains sprintf("%s: holds a URL with a password", [pods.name]) if {
	some text in texts
	regex.match(in_url, text)
}

deny contains sprintf("%s: holds a secret's key", [pods.name]) if {
	some text in texts
	regex.match(secret_key, text)
}

# The simulator takes any token: this one opens nothing.
worthless := {"1:simulated"}

deny contains sprintf("%s: the variable %s has its secret written out", [pods.name, variable.name]) if {
	some container in pods.containers
	some variable in container.env
	regex.match(`(TOKEN|SECRET|PASSWORD)$`, variable.name)
	variable.value
	not variable.value in worthless
}

# An argument is seen by whoever sees the process.
deny contains sprintf("%s: an argument of container %s has a secret", [pods.name, container.name]) if {
	some container in pods.containers
	some argument in array.concat(object.get(container, "args", []), object.get(container, "command", []))
	regex.match(sprintf("%s|%s", [bot_token, in_url]), argument)
}

deny contains sprintf("%s: others than the pod's group may read the volume %s", [pods.name, volume.name]) if {
	some volume in pods.spec.volumes
	some kind in ["secret", "projected"]
	volume[kind]
	not object.get(volume[kind], "defaultMode", 420) in {256, 288}
}
