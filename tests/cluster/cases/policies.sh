# Sourced: who reaches whom where network policies are enforced.
# shellcheck shell=bash

policies() {
  begin "$helm-policies"
  elsewhere=$namespace-elsewhere
  kubectl create namespace "$elsewhere" >/dev/null
  quiet "installs" helm install switchboard "$chart" --set simulator.enabled=true,service.public.enabled=true \
    --set config.public.url=http://switchboard-public --wait --timeout "${patience}s"
  visitor stranger "$namespace" app=stranger
  visitor handler "$namespace" switchboard-client=true
  visitor handler "$elsewhere" switchboard-client=true
  visitor prometheus "$elsewhere" app.kubernetes.io/name=prometheus

  eventually "a pod with the label reaches gRPC" reaches "$namespace" handler switchboard 50051
  eventually "a pod without it does not" fails_to_reach "$namespace" stranger switchboard 50051
  holds "nor does one with it in another namespace" fails_to_reach "$elsewhere" handler switchboard 50051
  holds "Prometheus reaches the ops listener from anywhere" reaches "$elsewhere" prometheus switchboard-ops 9090
  holds "handlers do not" fails_to_reach "$namespace" handler switchboard-ops 9090
  holds "everybody reaches the webhook listener, as an ingress controller must" reaches "$namespace" stranger switchboard-public 80
  holds "nobody but the gateway and the test reaches the simulator" fails_to_reach "$namespace" stranger switchboard-simulator 8081
  holds "which they do" helm test switchboard --logs --timeout "${patience}s"

  quiet "networkPolicy.grpcFrom lets another namespace in" helm upgrade switchboard "$chart" --reuse-values \
    --set "networkPolicy.grpcFrom[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=$elsewhere" \
    --wait --timeout "${patience}s"
  eventually "so that its handler reaches gRPC" reaches "$elsewhere" handler switchboard 50051
  eventually "and the stranger still does not" fails_to_reach "$namespace" stranger switchboard 50051

  quiet "networkPolicy.enabled=false" helm upgrade switchboard "$chart" --reuse-values --set networkPolicy.enabled=false \
    --wait --timeout "${patience}s"
  eventually "lets everybody in" reaches "$namespace" stranger switchboard 50051
  gateway_reaches_out
  quiet "uninstalls" helm uninstall switchboard --wait --timeout "${patience}s"
  kubectl delete namespace "$namespace" "$elsewhere" --timeout "${patience}s" >/dev/null
}

# What the gateway itself may reach: DNS, and Telegram's port wherever it is.
gateway_reaches_out() {
  in_namespace create secret generic my-bot --from-literal=token=123456789:secret >/dev/null
  local telegram=http://switchboard-simulator.$namespace:8081
  quiet "installs a gateway with a real token" "$helm" -n "$namespace" install other "$chart" --set bot.existingSecret=my-bot \
    --set "config.telegram.api_url=$telegram" --wait --timeout "${patience}s"
  # What a pod has opened before the policies knew it stays open.
  in_namespace rollout restart deployment/switchboard-simulator >/dev/null
  eventually "which cannot reach what is not at port 443" state_is "not connected"
  quiet "networkPolicy.egress.telegramPort=8081" "$helm" -n "$namespace" upgrade other "$chart" --reuse-values \
    --set networkPolicy.egress.telegramPort=8081 --wait --timeout "${patience}s"
  eventually "lets it" state_is connected
  quiet "uninstalls" "$helm" -n "$namespace" uninstall other --wait --timeout "${patience}s"
}

state_is() {
  in_namespace exec other-switchboard-0 -- /switchboard bots | tee "$cluster/bots" | grep "polling *$1 " || { cat "$cluster/bots"; false; }
}

# visitor NAME NAMESPACE LABEL: a pod that does nothing by itself.
visitor() {
  kubectl create -f - >/dev/null <<EOF
apiVersion: v1
kind: Pod
metadata: {name: "$1", namespace: "$2", labels: {"${3%=*}": "${3#*=}"}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: visitor
      image: docker.io/library/busybox:1.37
      args: [sleep, infinity]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
EOF
  kubectl -n "$2" wait "pod/$1" --for condition=Ready --timeout "${patience}s" >/dev/null
}

# reaches NAMESPACE POD SERVICE PORT: something there accepts a connection.
reaches() {
  kubectl -n "$1" exec "$2" -- nc -w 3 "$3.$namespace.svc.cluster.local" "$4" -e true
}

# An answer is no, or there is none. That the name is known is no part of it.
fails_to_reach() {
  ! reaches "$@" && kubectl -n "$1" exec "$2" -- nslookup "$3.$namespace.svc.cluster.local"
}
