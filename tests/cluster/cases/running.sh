# Sourced: what the pods do when they run: as whom, how they stop, and what is there afterwards.
# shellcheck shell=bash

running() {
  begin "$helm-running"
  gateway=pod/switchboard-0
  quiet "installs, and is ready by its own probes" install_simulated
  holds "helm test: health, reflection and one update end to end" helm test switchboard --logs --timeout "${patience}s"
  runs_restricted
  eventually "somebody writes to the bot" send 42 hello
  eventually "which comes to the gateway" known 42

  stops_in_time
  telegram_goes_away
  survives_a_kill
  restarted_when_it_hangs
  found_again
  webhook
}

install_simulated() {
  helm install switchboard "$chart" --set simulator.enabled=true,simulator.rate=0 --set livenessProbe.periodSeconds=1 \
    --set "shutdown.graceSeconds=4" --wait --timeout "${patience}s"
}

send() {
  in_namespace exec deploy/switchboard-simulator -- /switchboard trigger message.text --chat "$1" --text "$2" >/dev/null
}
known() { in_namespace exec switchboard-0 -- /switchboard timeline --chat "$1"; }
restarts() { field "$gateway" '.status.containerStatuses[0].restartCount'; }
# The gateway's process; this is the only one in these namespaces.
process() { pgrep -f '^/switchboard serve'; }
status() { awk -v field="$1:" '$1 == field { $1 = ""; print substr($0, 2) }' "/proc/$(process)/status"; }
mounted() { awk -v place="$1" '$2 == place { print substr($4, 1, 2) }' "/proc/$(process)/mounts"; }

runs_restricted() {
  same "it runs as nobody of the machine" "65532 65532 65532 65532" "$(status Uid | xargs)"
  same "in that group alone" 65532 "$(status Groups | xargs)"
  same "has no capability and can get none" "0000000000000000 1" "$(status CapBnd) $(status NoNewPrivs)"
  same "and a filter of system calls" 2 "$(status Seccomp)"
  same "its root is read-only" ro "$(mounted /)"
  same "so are its configuration and secrets" "ro ro" "$(mounted /etc/switchboard) $(mounted /run/secrets/switchboard)"
  same "the journal is not" rw "$(mounted /var/lib/switchboard)"
}

# A handler that never settles makes the stop take all the time it is given.
stops_in_time() {
  local began took before token
  token=$(in_namespace get secret switchboard-access-token -o go-template='{{.data.token | base64decode}}')
  kubectl -n "$namespace" port-forward service/switchboard 50051 >"$cluster/forwarded" 2>&1 &
  local forwarding=$!
  eventually "gRPC can be reached" grep -q 'Forwarding from' "$cluster/forwarded"
  grpcurl -plaintext -H "authorization: Bearer $token" -d '{"group": "slow", "start_earliest": true}' \
    localhost:50051 switchboard.v1.DeliveryService/Subscribe >"$cluster/updates" 2>&1 &
  local handler=$!
  eventually "a handler has the message" grep -q '"attempt"' "$cluster/updates"

  kubectl -n "$namespace" logs switchboard-0 --follow >"$cluster/last-words" 2>/dev/null &
  local log=$!
  kubectl -n "$namespace" get "$gateway" --watch -o 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}{"\n"}' \
    >"$cluster/exits" 2>/dev/null &
  local watch=$!
  before=$(field "$gateway" .metadata.uid)
  began=$SECONDS
  holds "the pod is deleted while a handler has not settled" in_namespace delete "$gateway" --timeout "${patience}s"
  took=$((SECONDS - began))
  wait "$log" || true
  # 3 s before the stop, 4 s for the handler.
  if [ "$took" -ge 7 ] && [ "$took" -lt "$(field statefulset/switchboard .spec.template.spec.terminationGracePeriodSeconds)" ]; then
    pass "it waits for the handler, and stops before it would be killed: after $took s"
  else
    fail "it waits for the handler, and stops before it would be killed" "after $took s"
  fi
  eventually "it ends with 0" grep -qx 0 "$cluster/exits"
  contains "its last words name what the handler has" "stopped while handlers have updates of this group" \
    "$(cat "$cluster/last-words")"
  kill "$watch" "$handler" "$forwarding" 2>/dev/null || true
  wait "$watch" "$handler" "$forwarding" 2>/dev/null || true

  eventually "another pod comes" another_than "$gateway" "$before"
  waits "and is ready" "$gateway" --for condition=Ready
  holds "the message is still there" known 42
  contains "and comes to the group again" slow "$(in_namespace exec switchboard-0 -- /switchboard groups)"
}

survives_a_kill() {
  kill -KILL "$(process)"
  waits "a killed gateway is started again" "$gateway" --for 'jsonpath={.status.containerStatuses[0].restartCount}=1'
  waits "and is ready" "$gateway" --for condition=Ready
  holds "the message is still there" known 42
}

restarted_when_it_hangs() {
  kill -STOP "$(process)"
  waits "a gateway that hangs is restarted by its liveness probe" "$gateway" \
    --for 'jsonpath={.status.containerStatuses[0].restartCount}=2'
  waits "and is ready" "$gateway" --for condition=Ready
  holds "the message is still there" known 42
}

telegram_goes_away() {
  in_namespace scale deployment/switchboard-simulator --replicas 0 >/dev/null
  in_namespace wait pod -l app.kubernetes.io/component=simulator --for delete --timeout "${patience}s" >/dev/null
  eventually "the gateway notices that Telegram is not there" bots_have "not connected"
  # The liveness probe asks every second and would have had enough after three.
  refused "and stays ready" "timed out" in_namespace wait "$gateway" --for condition=Ready=false --timeout 15s
  same "without a restart" 0 "$(restarts)"
  in_namespace scale deployment/switchboard-simulator --replicas 1 >/dev/null
}

bots_have() { in_namespace exec switchboard-0 -- /switchboard bots | tee "$cluster/bots" | grep "$1" || { cat "$cluster/bots"; false; }; }

found_again() {
  quiet "uninstalls" helm uninstall switchboard --wait --timeout "${patience}s"
  waits "the pod is gone" "$gateway" --for delete
  quiet "installs again" install_simulated
  holds "the message of before is still there" known 42
  quiet "uninstalls" helm uninstall switchboard --wait --timeout "${patience}s"
  waits "the pod is gone" "$gateway" --for delete
  in_namespace delete persistentvolumeclaims --all >/dev/null
}

webhook() {
  quiet "installs with a webhook instead of polling" helm install switchboard "$chart" -f "$chart/ci/simulator-webhook.yaml" \
    --wait --timeout "${patience}s"
  holds "helm test: an update comes by the webhook" helm test switchboard --logs --timeout "${patience}s"
  holds "it was the webhook" bots_have "webhook *connected"
  quiet "uninstalls" helm uninstall switchboard --wait --timeout "${patience}s"
  in_namespace delete persistentvolumeclaims --all >/dev/null
}
