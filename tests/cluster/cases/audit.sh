# Sourced: what the API server wrote down about all that the other cases did.
# shellcheck shell=bash

audit() {
  heading "audit"
  # In the refusals' namespaces a pod violates the standard on purpose.
  same "no object violates Pod Security" "" \
    "$(audited "select(.objectRef.namespace // \"\" | endswith(\"-refusals\") | not) | $violation")"
  # What Kubernetes' own programs ask for is their affair.
  same "nobody asks for a version that Kubernetes means to remove" "" \
    "$(audited 'select(.annotations["k8s.io/deprecated"]) | select(.user.username | startswith("system:") | not) | .requestURI')"
}

violation='.annotations["pod-security.kubernetes.io/audit-violations"]'

# audited FILTER: what the filter finds in the events, each once.
audited() { jq -r "($1) // empty" "$cluster/audit.log" | sort -u; }
