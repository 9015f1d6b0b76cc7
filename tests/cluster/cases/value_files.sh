# Sourced: every file of ci/ is a release that the cluster takes as it is.
# shellcheck shell=bash

value_files() {
  local file
  for file in "$chart"/ci/*.yaml; do value_file "$file"; done
}

value_file() {
  local file=$1 name before test
  name=$(basename "$file" .yaml)
  begin "$helm-${name%-values}"
  furnish_for "$file"
  before=$(inventory)

  quiet "a dry run on the server has no remark" helm install switchboard "$chart" -f "$file" --dry-run=server
  same "and leaves nothing" "$before" "$(inventory)"
  quiet "installs without a remark" helm install switchboard "$chart" -f "$file" --wait --timeout "${patience}s"
  holds "every object of the release is there" all_objects
  quiet "the API server knows every field in them" applies
  waits "all pods are admitted and run" pod --all --for condition=Ready
  for test in $(tests); do test_pod "$test"; done
  quiet "upgrades to the same values" helm upgrade switchboard "$chart" -f "$file" --wait --timeout "${patience}s"
  quiet "uninstalls" helm uninstall switchboard --wait --timeout "${patience}s"
  eventually "nothing but its claim is left" only_claims_beside "$before"
}

# Server-side, where a field that is not in the schema is an error.
applies() {
  helm get manifest switchboard | in_namespace apply --server-side --force-conflicts --dry-run=server --validate=strict -f -
}

# The pods of `helm test`.
tests() {
  helm get hooks switchboard | in_namespace create --dry-run=client --validate=false -o name -f - 2>/dev/null
}

# kwok says that a pod runs, not that it succeeds: this is said here. The pod stays, for its log; so the namespace's owner
# removes it.
test_pod() {
  in_namespace wait "$1" --for create --timeout "${patience}s" >/dev/null &&
    in_namespace wait "$1" --for condition=Ready --timeout "${patience}s" >/dev/null &&
    in_namespace patch "$1" --subresource status --type merge -p '{"status": {"phase": "Succeeded"}}' >/dev/null &
  quiet "the pod of its test is admitted" helm test switchboard --timeout "${patience}s"
  wait $!
  in_namespace delete "$1" >/dev/null
}

only_claims_beside() {
  diff <(echo "$1" | grep -v ^persistentvolumeclaim/) <(inventory | grep -v ^persistentvolumeclaim/)
}
