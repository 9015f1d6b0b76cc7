# Sourced: what a file of values takes for granted: classes, labels of nodes, accounts and claims that somebody else makes.
# shellcheck shell=bash

# furnish_for FILE: makes it, as it is found in what the file renders.
furnish_for() {
  "$helm" template switchboard "$chart" -n "$namespace" -f "$1" |
    in_namespace create --dry-run=client --validate=false -o json -f - |
    jq -s '[.[] | if .kind == "List" then .items[] else . end]' >"$cluster/objects.json"

  local name
  for name in $(wanted '.priorityClassName? // empty | select(startswith("system-") | not)'); do
    unless_there PriorityClass "$name" '{"apiVersion": "scheduling.k8s.io/v1", "value": 1000}'
  done
  for name in $(wanted '.runtimeClassName? // empty'); do
    unless_there RuntimeClass "$name" '{"apiVersion": "node.k8s.io/v1", "handler": "handler"}'
  done
  for name in $(wanted '.storageClassName? // empty'); do
    unless_there StorageClass "$name" '{"apiVersion": "storage.k8s.io/v1", "provisioner": "kubernetes.io/host-path", "volumeBindingMode": "WaitForFirstConsumer"}'
  done
  for name in $(wanted '.nodeSelector? // empty | to_entries[] | "\(.key)=\(.value)"'); do
    kubectl label node node "$name" --overwrite >/dev/null
  done
  for name in $(wanted '.claimName? // empty'); do
    unless_there PersistentVolumeClaim "$name" \
      '{"apiVersion": "v1", "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}'
  done
  # A claim that chooses its volume gets none made.
  wanted '.volumeClaimTemplates? // empty | .[].spec | select(.selector) | tojson' | while read -r claim; do
    jq -n --arg name "$namespace" --argjson claim "$claim" '{apiVersion: "v1", kind: "PersistentVolume",
      metadata: {name: $name, labels: $claim.selector.matchLabels},
      spec: {accessModes: $claim.accessModes, capacity: $claim.resources.requests, storageClassName: $claim.storageClassName,
        hostPath: {path: "/nowhere"}}}' | kubectl create -f - >/dev/null
  done
  for name in $(wanted 'select(.serviceAccountName?) | .serviceAccountName'); do
    if jq -e --arg name "$name" 'any(.[]; .kind == "ServiceAccount" and .metadata.name == $name)' \
      "$cluster/objects.json" >/dev/null; then continue; fi
    unless_there ServiceAccount "$name" '{"apiVersion": "v1"}'
  done
}

# wanted FILTER: what the filter finds anywhere in the objects, each once.
wanted() { jq -r ".. | objects | $1" "$cluster/objects.json" | sort -u; }

# unless_there KIND NAME REST
unless_there() {
  if [ -n "$(in_namespace get "$1" "$2" --ignore-not-found -o name)" ]; then return; fi
  jq -n --arg name "$2" --argjson rest "$3" --arg kind "$1" '$rest + {kind: $kind, metadata: {name: $name}}' |
    in_namespace create -f - >/dev/null
}
