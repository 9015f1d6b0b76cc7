# Sourced: what the chart refuses, before anything is in the cluster; and what the cluster would refuse, which shows that the
# other cases would notice.
# shellcheck shell=bash

refusals() {
  begin "$helm-refusals"
  empty=$(inventory)
  local file reason
  for file in "$chart"/ci/refused/*.yaml; do
    # The first line says with which words.
    reason=$(sed -n '1s/^# //p' "$file")
    refused "refuses $(basename "$file" .yaml)" "$reason" helm install switchboard "$chart" -f "$file"
  done
  same "nothing of all that is in the cluster" "$empty" "$(inventory)"

  unsafe_pod
}

# A container that may become root: Helm passes on what the API server remarks, and the pod is not admitted.
unsafe_pod() {
  in_namespace create secret generic my-bot --from-literal=token=123456789:secret >/dev/null
  local remarks
  remarks=$(helm install switchboard "$chart" --set bot.existingSecret=my-bot \
    --set securityContext.allowPrivilegeEscalation=true 2>&1 >/dev/null) || true
  contains "an unsafe pod is remarked on" "would violate PodSecurity" "$remarks"
  contains "and written down" "allowPrivilegeEscalation" "$(audited "$violation")"
  eventually "and not admitted" pod_was_refused
  same "so that there is none" "" "$(field pod/switchboard-0 .metadata.name)"
  holds "uninstalls" helm uninstall switchboard
}

pod_was_refused() {
  in_namespace get events --field-selector reason=FailedCreate -o 'jsonpath={.items[*].message}' |
    grep -q 'violates PodSecurity "restricted'
}
