# Sourced: the manifests for those without Helm, by the commands that stand at their head.
# shellcheck shell=bash

manifests() {
  local name
  for name in simulator switchboard; do plain_manifest "$name"; done

  begin restore-pod
  quiet "the API server takes the pod that restores a backup" applies_plainly restore-pod
}

plain_manifest() {
  local command
  # What the commands expect beside them.
  cp "$root"/deploy/kubernetes/*.yaml "$cluster/"
  echo 123456789:secret >"$cluster/token.txt"
  namespace=switchboard
  heading "deploy/kubernetes/$1.yaml"
  while read -r command; do
    if [[ $command == *apply* ]]; then quiet "the API server knows every field" applies_plainly "$1"; fi
    quiet "$command" bash -c "cd $cluster && $command"
  done < <(sed -n 's/^#   \(kubectl .*\)/\1/p' "$cluster/$1.yaml")
  waits "the gateway's pod is admitted" pod/switchboard-0 --for create
  waits "all pods run" pod --all --for condition=Ready
  waits "its claim is bound" persistentvolumeclaim/data-switchboard-0 --for 'jsonpath={.status.phase}=Bound'
  holds "all of it goes with the namespace" kubectl delete namespace switchboard --timeout "${patience}s"
}

applies_plainly() {
  in_namespace apply --server-side --force-conflicts --dry-run=server --validate=strict -f "$root/deploy/kubernetes/$1.yaml"
}
