# Sourced: a node of which kwok says that its pods run. No container is started.
# shellcheck shell=bash

# Nothing of the machine has to be prepared.
prepare_machine() { :; }

start_node() {
  local stage stages=()
  for stage in "$tools"/cluster-stages/*.yaml tests/cluster/load-balancer.yaml; do stages+=(--config "$stage"); done
  run kwok --kubeconfig "$KUBECONFIG" --manage-all-nodes "${stages[@]}"
  kubectl create -f tests/cluster/furniture.yaml >/dev/null
  kubectl wait --for condition=Established --timeout 60s crd --all >/dev/null
  kubectl wait --for condition=Ready --timeout 60s node/node >/dev/null
}
