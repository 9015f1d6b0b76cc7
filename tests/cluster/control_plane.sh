# Sourced: the control plane of a cluster on the loopback interface, with all it keeps in one directory that goes with it: etcd,
# and Kubernetes' own API server with its usual admission (Pod Security among it), controllers and scheduler.
# shellcheck shell=bash

# start_control_plane DIRECTORY: KUBECONFIG becomes the administrator's. What runs then is ended by stop_cluster.
start_control_plane() {
  cluster=$1
  etcd_port=$(free_port)
  peer_port=$(free_port)
  api_port=$(free_port)
  make_keys
  make_users
  audit_policy >"$cluster/audit-policy.json"
  export KUBECONFIG=$cluster/admin.kubeconfig

  local etcd=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$peer_port
  run etcd --data-dir "$cluster/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
  # Two address families, so that Services may ask for both. Nobody looks for the API server by its Service.
  run kube-apiserver --etcd-servers "$etcd" \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$api_port" --endpoint-reconciler-type none \
    --service-cluster-ip-range 10.96.0.0/16,fd00:96::/112 \
    --tls-cert-file "$cluster/server.crt" --tls-private-key-file "$cluster/server.key" \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$cluster/accounts.key" \
    --service-account-signing-key-file "$cluster/accounts.key" \
    --token-auth-file "$cluster/tokens.csv" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --kubelet-preferred-address-types InternalIP \
    --audit-policy-file "$cluster/audit-policy.json" --audit-log-path "$cluster/audit.log"
  needs "the API server" kubectl get --raw /readyz

  # Volumes are directories below /tmp/hostpath_pv, made when a claim wants one.
  run kube-controller-manager --kubeconfig "$cluster/controllers.kubeconfig" --leader-elect=false \
    --use-service-account-credentials --bind-address 127.0.0.1 --secure-port 0 --root-ca-file "$cluster/server.crt" \
    --service-account-private-key-file "$cluster/accounts.key" --enable-hostpath-provisioner
  scheduler_configuration >"$cluster/scheduler.json"
  run kube-scheduler --config "$cluster/scheduler.json" --bind-address 127.0.0.1 --secure-port 0

  # Server-side: some are too large for the annotation that kubectl keeps otherwise.
  kubectl apply --server-side -f "$tools/crds/${gateway_api_versions##* }" -f "$tools/crds/$prometheus_operator_version" >/dev/null
  kubectl wait --for condition=Established --timeout 60s crd --all >/dev/null
}

# Nothing that they keep is needed any more, so they are not asked.
stop_cluster() {
  local directories
  directories=$(kubectl get persistentvolumes --request-timeout 5s \
    -o jsonpath='{range .items[*]}{.spec.hostPath.path}{"\n"}{end}' 2>/dev/null) || true
  local name
  for name in "${!process_of[@]}"; do
    kill -KILL "${process_of[$name]}" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  sed -n '/^\/tmp\/hostpath_pv\/./p' <<<"$directories" | xargs -r -d '\n' rm -rf
  rmdir /tmp/hostpath_pv 2>/dev/null || true
}

declare -A process_of=()

# run PROGRAM ARGUMENTS...: in the background, with its output in the cluster's directory.
run() {
  "$@" >"$cluster/$1.log" 2>&1 &
  process_of[$1]=$!
}

# until_true COMMAND...: until the command succeeds; for as long as one is patient, and while all programs of the cluster run.
until_true() {
  local name deadline=$((SECONDS + patience))
  until "$@" >/dev/null 2>&1; do
    for name in "${!process_of[@]}"; do
      if kill -0 "${process_of[$name]}" 2>/dev/null; then continue; fi
      echo "$name has ended; the last it said:" >&2
      tail -n 20 "$cluster/$name.log" >&2
      exit 1
    done
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.2
  done
}

# needs WHAT COMMAND...: the same, for what nothing can go on without.
needs() {
  local what=$1
  shift
  if until_true "$@"; then return; fi
  echo "$what is not there after $patience s" >&2
  exit 1
}

# A port that nobody listens at. If somebody takes it before we do, `needs` says so.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)) && (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do :; done
  echo "$port"
}

make_keys() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kube-apiserver \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$cluster/server.key" -out "$cluster/server.crt" 2>/dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$cluster/accounts.key" 2>/dev/null
}

make_users() {
  add_user admin cluster-admin system:masters
  add_user controllers system:kube-controller-manager ""
  add_user scheduler system:kube-scheduler ""
  add_user kubelet system:node:node system:nodes
  add_user proxy system:kube-proxy ""
  # Has no rights but those that a case gives it.
  add_user deployer deployer ""
}

# add_user FILE NAME GROUP: somebody who is known by a token, and the kubeconfig to be it.
add_user() {
  local token
  token=$(openssl rand -hex 16)
  echo "$token,$2,$2,\"$3\"" >>"$cluster/tokens.csv"
  (
    umask 077
    cat >"$cluster/$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$api_port", certificate-authority: "$cluster/server.crt"}}]
users: [{name: u, user: {token: "$token"}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
EOF
  )
}

# Changes only, and of them what admission remarked.
audit_policy() {
  cat <<'EOF'
{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
  {"level": "Metadata", "verbs": ["create", "update", "patch"]},
  {"level": "None"}]}
EOF
}

# Pods may name another scheduler than the default one.
scheduler_configuration() {
  cat <<EOF
{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
  "clientConnection": {"kubeconfig": "$cluster/scheduler.kubeconfig"}, "leaderElection": {"leaderElect": false},
  "profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "other"}]}
EOF
}
