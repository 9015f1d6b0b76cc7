# Sourced: a release from its installation to its end, with a volume, by somebody who is an administrator of the namespace and
# nothing else.
# shellcheck shell=bash

lifecycle() {
  begin "$helm-lifecycle"
  kubectl create rolebinding -n "$namespace" deployer --clusterrole admin --user deployer >/dev/null
  in_namespace create secret generic my-bot --from-literal=token=123456789:secret >/dev/null
  empty=$(inventory)
  size=20Gi

  installed
  services_reach_the_pod
  nothing_changes
  configuration_changes
  rolled_back
  another_version
  access_token_renewed
  volume_grows
  drained
  uninstalled
  installed_again
  deleted_with_its_volume
}

as_deployer() { KUBECONFIG=$cluster/deployer.kubeconfig in_namespace "$@"; }
deploy() { KUBECONFIG=$cluster/deployer.kubeconfig helm "$@" --timeout "${patience}s"; }
install_release() { deploy install switchboard "$chart" --set "bot.existingSecret=my-bot,persistence.size=$size" --wait "$@"; }
upgrade_release() { deploy upgrade switchboard "$chart" --set "bot.existingSecret=my-bot,persistence.size=$size" --wait "$@"; }

access_token() { field secret/switchboard-access-token .data.token; }
configuration() { field configmap/switchboard '.data.switchboard\.toml'; }
pod_identity() { field pod/switchboard-0 .metadata.uid; }
revision() { field statefulset/switchboard .status.updateRevision; }
volume() { field persistentvolumeclaim/data-switchboard-0 .spec.volumeName; }

# follows WHAT: the pod becomes one of the StatefulSet's newest revision.
follows() {
  waits "$1" pod/switchboard-0 --for "jsonpath={.metadata.labels.controller-revision-hash}=$(revision)"
  waits "and is ready" pod/switchboard-0 --for condition=Ready
}

installed() {
  quiet "installs without a remark" install_release
  holds "every object of the release is there" all_objects
  waits "the pod is admitted and runs" pod/switchboard-0 --for condition=Ready
  waits "its claim is bound" persistentvolumeclaim/data-switchboard-0 --for 'jsonpath={.status.phase}=Bound'
  same "the pod uses that claim" data-switchboard-0 \
    "$(field pod/switchboard-0 '.spec.volumes[?(@.name=="data")].persistentVolumeClaim.claimName')"
  same "the cluster mounts no service account token into it" "" \
    "$(field pod/switchboard-0 '.spec.volumes[*].projected.sources[*].serviceAccountToken.path')"
  first_token=$(access_token)
  first_configuration=$(configuration)
  first_pod=$(pod_identity)
  first_revision=$(revision)
  first_volume=$(volume)
}

# The controllers resolve selectors and names of ports: a Service with a typing error in either has no endpoint.
services_reach_the_pod() {
  local service port
  for service in switchboard switchboard-headless switchboard-ops; do
    waits "the Service $service has the pod as its endpoint" endpointslice -l "kubernetes.io/service-name=$service" \
      --for 'jsonpath={.endpoints[0].targetRef.name}=switchboard-0'
    port=$(in_namespace get endpointslice -l "kubernetes.io/service-name=$service" -o 'jsonpath={.items[*].ports[*].port}')
    case $service in
      *-ops) same "at the ops listener's port" 9090 "$port" ;;
      *) same "at gRPC's port" 50051 "$port" ;;
    esac
  done
}

nothing_changes() {
  quiet "the same values again" upgrade_release
  same "keep the access token" "$first_token" "$(access_token)"
  same "keep the revision of the pod" "$first_revision" "$(revision)"
  same "keep the pod" "$first_pod" "$(pod_identity)"
}

configuration_changes() {
  quiet "another configuration" upgrade_release --set config.retention.max_age=47h
  contains "is in the ConfigMap" 'max_age = "47h"' "$(configuration)"
  changed "changes the checksum" \
    "$(field "controllerrevision/$first_revision" '.data.spec.template.metadata.annotations.checksum/config')" \
    "$(field statefulset/switchboard '.spec.template.metadata.annotations.checksum/config')"
  changed "changes the revision" "$first_revision" "$(revision)"
  follows "the pod is replaced"
  same "by one with that checksum" "$(field statefulset/switchboard '.spec.template.metadata.annotations.checksum/config')" \
    "$(field pod/switchboard-0 '.metadata.annotations.checksum/config')"
  changed "not the one before" "$first_pod" "$(pod_identity)"
  same "with the same access token" "$first_token" "$(access_token)"
  same "and the same volume" "$first_volume" "$(volume)"
}

rolled_back() {
  quiet "rolls back" deploy rollback switchboard 1 --wait
  same "to the first revision" "$first_revision" "$(revision)"
  follows "the pod is of the first revision again"
  same "the configuration is the first again" "$first_configuration" "$(configuration)"
  same "the access token is the same" "$first_token" "$(access_token)"
  same "the volume is the same" "$first_volume" "$(volume)"
}

# Kubernetes refuses changes of a StatefulSet's selector, service and claim templates: nothing in them may depend on these.
another_version() {
  local before
  before=$(pod_identity)
  rm -rf "$cluster/chart"
  cp -RL "$chart" "$cluster/chart"
  sed -i 's/^version: .*/version: 99.0.0/; s/^appVersion: .*/appVersion: 99.0.0/' "$cluster/chart/Chart.yaml"
  quiet "another version of the chart, and labels and annotations on everything" \
    deploy upgrade switchboard "$cluster/chart" --set "bot.existingSecret=my-bot,persistence.size=$size" \
    --set commonLabels.team=bots,commonAnnotations.owner=bots --wait
  follows "the pod is replaced"
  changed "not the one before" "$before" "$(pod_identity)"
  contains "by one of the new version" ":99.0.0" "$(field pod/switchboard-0 '.spec.containers[0].image')"
  same "with the same access token" "$first_token" "$(access_token)"
  same "and the same volume" "$first_volume" "$(volume)"
  quiet "and back" upgrade_release
  same "to the first revision" "$first_revision" "$(revision)"
}

access_token_renewed() {
  local before
  before=$(revision)
  in_namespace delete secret switchboard-access-token >/dev/null
  quiet "upgrades after somebody deleted the access token's Secret" upgrade_release
  changed "makes a new token" "$first_token" "$(access_token)"
  changed "and a new revision, since the gateway reads it at its start" "$before" "$(revision)"
  follows "the pod is replaced"
}

# Kubernetes changes no claim templates of a StatefulSet: the attempt must do no harm, and what docs/kubernetes.md says of it
# ("Storage") must work.
volume_grows() {
  local before
  before=$(pod_identity)
  refused "another persistence.size is refused by Kubernetes" "volumeClaimTemplates" upgrade_release --set persistence.size=30Gi
  quiet "the size before can be gone back to" upgrade_release
  same "and the pod has not noticed" "$before" "$(pod_identity)"

  local larger='{"spec": {"resources": {"requests": {"storage": "30Gi"}}}}'
  holds "the claim can be enlarged" as_deployer patch persistentvolumeclaim data-switchboard-0 -p "$larger"
  holds "and the StatefulSet deleted without its pod" as_deployer delete statefulset switchboard --cascade=orphan
  size=30Gi
  quiet "upgrades with the new size" upgrade_release
  same "which the StatefulSet has" 30Gi \
    "$(field statefulset/switchboard '.spec.volumeClaimTemplates[0].spec.resources.requests.storage')"
  same "and the pod has not noticed that either" "$before" "$(pod_identity)"
  same "with the same volume" "$first_volume" "$(volume)"
}

drained() {
  local before
  waits "a drain may take the pod" poddisruptionbudget/switchboard --for 'jsonpath={.status.disruptionsAllowed}=1'
  before=$(pod_identity)
  holds "it is evicted" evict
  eventually "another comes" another_than pod/switchboard-0 "$before"
  waits "and is ready" pod/switchboard-0 --for condition=Ready
  same "with the same volume" "$first_volume" "$(volume)"

  quiet "podDisruptionBudget.maxUnavailable=0" upgrade_release --set podDisruptionBudget.maxUnavailable=0
  waits "lets no drain take it" poddisruptionbudget/switchboard --for 'jsonpath={.status.disruptionsAllowed}=0'
  refused "it is not evicted" "disruption budget" evict
}

evict() {
  kubectl create --raw "/api/v1/namespaces/$namespace/pods/switchboard-0/eviction" -f - <<EOF
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "switchboard-0", "namespace": "$namespace"}}
EOF
}

uninstalled() {
  last_token=$(access_token)
  quiet "uninstalls" deploy uninstall switchboard --wait
  eventually "nothing but the claim is left" inventory_is "$(sort <<<"$empty"$'\n'persistentvolumeclaim/data-switchboard-0)"
  same "which is still bound to its volume" "Bound $first_volume" \
    "$(field persistentvolumeclaim/data-switchboard-0 .status.phase) $(volume)"
}

installed_again() {
  quiet "installs again" install_release
  waits "and runs" pod/switchboard-0 --for condition=Ready
  same "with the volume of before" "$first_volume" "$(volume)"
  changed "and a new access token, since its Secret goes with the release" "$last_token" "$(access_token)"
}

deleted_with_its_volume() {
  quiet "persistence.retentionPolicy.whenDeleted=Delete" upgrade_release --set persistence.retentionPolicy.whenDeleted=Delete
  quiet "uninstalls" deploy uninstall switchboard --wait
  eventually "the claim goes too, and nothing is left" inventory_is "$empty"
}
