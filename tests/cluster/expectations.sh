# Sourced: how the cases say what must hold, and what they ask the cluster with.
# shellcheck shell=bash

passed=0
failed=0

# holds WHAT COMMAND...: the command succeeds.
holds() {
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then pass "$what"; else fail "$what" "$said"; fi
}

# quiet WHAT COMMAND...: the command succeeds and has nothing to remark: no warning of the API server, such as that of a
# violated Pod Security Standard or of a deprecated version.
quiet() {
  local what=$1 remarks
  shift
  if ! remarks=$("$@" 2>&1 >"$cluster/said"); then
    fail "$what" "$remarks" "$(tail -n 12 "$cluster/said")"
  # Helm 4 says so of itself when it stops to watch.
  elif remarks=$(grep -v 'watch ended with error' <<<"$remarks") && [ -n "$remarks" ]; then
    fail "$what" "succeeded, but remarked:" "$remarks"
  else
    pass "$what"
  fi
}

# refused WHAT REASON COMMAND...: the command fails, and what it says has the reason.
refused() {
  local what=$1 reason=$2 said
  shift 2
  if said=$("$@" 2>&1); then
    fail "$what" "it was not refused"
  elif [[ $said != *"$reason"* ]]; then
    fail "$what" "refused, but not because of \"$reason\":" "$said"
  else
    pass "$what"
  fi
}

# same WHAT EXPECTED FOUND
same() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "expected: $2" "found:    $3"; fi
}

# changed WHAT BEFORE NOW: both are there, and they differ.
changed() {
  if [ -z "$2" ] || [ -z "$3" ]; then
    fail "$1" "before: '$2'" "now:    '$3'"
  elif [ "$2" = "$3" ]; then
    fail "$1" "it still is: $2"
  else
    pass "$1"
  fi
}

pass() {
  passed=$((passed + 1))
  echo "  ok      $1"
}

fail() {
  failed=$((failed + 1))
  echo "  FAILED  $1"
  shift
  printf '%s\n' "$@" | sed 's/^/          /'
}

# contains WHAT TEXT FOUND
contains() {
  if [[ $3 == *"$2"* ]]; then pass "$1"; else fail "$1" "no \"$2\" in:" "$3"; fi
}

# eventually WHAT COMMAND...: the command succeeds sooner or later.
eventually() {
  local what=$1
  shift
  if until_true "$@"; then pass "$what"; else fail "$what" "not in $patience s:" "$("$@" 2>&1)"; fi
}

# waits WHAT ARGUMENTS...: `kubectl wait` with these arguments sees what it waits for.
waits() {
  local what=$1
  shift
  holds "$what" in_namespace wait --timeout "${patience}s" "$@"
}

# begin NAMESPACE: the next case, in a namespace of its own where Pod Security is enforced.
begin() {
  namespace=$1
  heading "$namespace"
  kubectl create -f - >/dev/null <<EOF
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
    pod-security.kubernetes.io/audit: restricted
EOF
  needs "the default service account" in_namespace get serviceaccount default
  needs "the cluster's certificate" in_namespace get configmap kube-root-ca.crt
}

# heading WHAT
heading() {
  echo
  echo "==> $1"
}

in_namespace() { kubectl -n "$namespace" "$@"; }

# field OBJECT PATH: what stands at the path, or nothing.
field() { in_namespace get "$1" -o "jsonpath={$2}" --ignore-not-found; }

# another_than POD UID: there is a pod of this name, and it is not that one.
another_than() {
  local now
  now=$(field "$1" .metadata.uid) && [ -n "$now" ] && [ "$now" != "$2" ]
}

# The helm of this round.
helm() { "$helm" -n "$namespace" "$@"; }

# Every object of the release, by kind and name, is in the cluster.
all_objects() { helm get manifest switchboard | in_namespace get -f -; }

# All that is in the namespace, but for events and what is deprecated.
inventory() {
  in_namespace get "$(kubectl api-resources --namespaced --verbs list -o name | grep -vE '^(events|endpoints$)' | sort | paste -sd,)" -o name | sort
}

# inventory_is EXPECTED
inventory_is() { diff <(echo "$1") <(inventory); }
